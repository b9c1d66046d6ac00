package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/weir-mesh/weir/policy"
)

// Upstream is what a name in the policy stands for in the control plane.
type Upstream[Cluster fmt.Stringer] struct {
	Name    string
	Cluster Cluster
}

// NameIn is the control plane's name for a name in the policy, which may be that name already.
func NameIn[Cluster fmt.Stringer](upstreams []Upstream[Cluster]) func(name string) string {
	return func(name string) string {
		for _, u := range upstreams {
			if u.Name == name {
				return u.Cluster.String()
			}
		}
		return name
	}
}

// Unused warns of upstreams that stand for nothing in the policy, such as those with a misspelled name. The document has the control
// plane's names.
func Unused[Cluster fmt.Stringer](document *policy.Document, upstreams []Upstream[Cluster]) (warnings []string) {
	var targets []string
	document.Each(func(_ string, p *policy.Policy) {
		if p.Failover != nil {
			targets = append(targets, p.Failover.To...)
		}
	})
	for _, u := range upstreams {
		cluster := u.Cluster.String()
		named := func(c policy.Cluster) bool { return c.Pattern == cluster } // For is nil also for `mode: off`
		if document.For(cluster) == nil && !slices.Contains(targets, cluster) && !slices.ContainsFunc(document.Clusters, named) {
			warnings = append(warnings, fmt.Sprintf("--upstream %s: no policy applies to it: write its name under clusters, or leave it out", u.Name))
		}
	}
	return warnings
}

// Named is a policy, a JSON object, with the control plane's names of upstreams: as keys of clusters and in failover.to, by name,
// and as redis.cluster, if redis is not empty. What can't be read stays as it is; the policy's reader reports why.
func Named(document []byte, name func(string) string, redis string) []byte {
	root := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber() // as they are written
	if decoder.Decode(&root) != nil {
		return document
	}
	if clusters, ok := root["clusters"].(map[string]any); ok {
		renamed := make(map[string]any, len(clusters))
		for written, rules := range clusters {
			nameTargets(rules, name)
			if to := name(written); clusters[to] == nil {
				written = to // else both are written, and the caller says so
			}
			renamed[written] = rules
		}
		root["clusters"] = renamed
	}
	policies, _ := root["policies"].(map[string]any)
	for _, rules := range policies {
		nameTargets(rules, name)
	}
	nameTargets(root["default"], name)
	if section, ok := root["redis"].(map[string]any); ok && redis != "" {
		section["cluster"] = redis
	}
	asJSON, err := json.Marshal(root)
	if err != nil {
		return document
	}
	return asJSON
}

func nameTargets(rules any, name func(string) string) {
	section, _ := rules.(map[string]any)
	failover, _ := section["failover"].(map[string]any)
	targets, _ := failover["to"].([]any)
	for i := range targets {
		if written, ok := targets[i].(string); ok {
			targets[i] = name(written)
		}
	}
}

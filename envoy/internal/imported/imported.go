// Package imported makes a policy of the rate limits of others: the descriptors of envoyproxy/ratelimit, and Envoy's
// local_ratelimit filters. What a policy can't say is listed, with its place and the reason.
//
//	imported.go     a file, and which limit a cluster gets
//	descriptors.go  descriptors of envoyproxy/ratelimit
//	local.go        local_ratelimit in Envoy's configuration
//	actions.go      what the keys of descriptors are: Envoy's rate_limits actions
//	write.go        the policy as YAML
package imported

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/policy"
)

// Options say what the file does not.
type Options struct {
	Cluster string          // of limits that name none; "": they are not converted
	Keys    map[string]Part // what a descriptor's key is
	Envoy   []byte          // Envoy's configuration, whose actions make the descriptors; nil: none
}

// Left is something that was not converted.
type Left struct {
	Line, Column int
	Path         string
	Text         string
}

// limit is the limit of one cluster.
type limit struct {
	cluster string // a name or pattern; "": each cluster
	at      *policyfile.Node
	path    string
	rank    rank
	mode    string   // "": enforce
	key     []string // as YAML
	window  string
	// requests of a window; 0: a token bucket
	requests int64
	burst    int64
	refill   float64
	mesh     bool
	headers  string
	// unlimited is a cluster without a limit, where others have one.
	unlimited bool
}

type importer struct {
	options Options
	actions *actions
	limits  []limit
	left    []Left
}

// File converts a file. The error is for one that has no rate limits at all, or that can't be read.
func File(name string, raw []byte, o Options) (asYAML []byte, left []Left, err error) {
	// The service reads YAML 1.1, as Kubernetes does.
	roots, err := policyfile.ReadAll(raw, func(root *policyfile.Node) policyfile.Reading {
		if isDescriptors(root) || root.Get("apiVersion") != nil {
			return policyfile.Kubernetes
		}
		return policyfile.Envoy
	})
	if err != nil {
		return nil, nil, err
	}
	of := roots
	if o.Envoy != nil {
		envoy, err := policyfile.ReadAll(o.Envoy, func(*policyfile.Node) policyfile.Reading { return policyfile.Envoy })
		if err != nil {
			return nil, nil, fmt.Errorf("--envoy: %w", err)
		}
		of = slices.Concat(roots, envoy)
	}
	for _, root := range of {
		if !isDescriptors(root) {
			nameFields(root, root.Get("apiVersion") == nil)
		}
	}
	i := &importer{options: o, actions: actionsOf(of, o.Keys)}
	found := false
	for _, root := range roots {
		if isDescriptors(root) {
			i.descriptors(root.Get("descriptors"), "descriptors", scope{})
			found = true
		} else {
			found = i.search(root, "", "", around{}) || found
		}
	}
	if !found {
		return nil, nil, errors.New("has no rate limits: neither domain and descriptors of envoyproxy/ratelimit, nor a local_ratelimit filter of Envoy")
	}
	limits := i.oneEach()
	slices.SortStableFunc(i.left, func(a, b Left) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	switch {
	case len(limits)+len(i.left) == 0:
		return nil, nil, errors.New("has no rate limits")
	case len(limits) == 0:
		return nil, i.left, nil
	}
	slices.SortStableFunc(limits, func(a, b limit) int { return a.at.Line - b.at.Line })
	asYAML = write(name, limits)
	asJSON, err := policyfile.JSON(asYAML)
	if err == nil {
		_, err = policy.Decode(asJSON, func(string) (string, bool) { return "", false })
	}
	if err != nil {
		return nil, i.left, fmt.Errorf("the policy would not be accepted: %w", err)
	}
	return asYAML, i.left, nil
}

// nameFields names the fields of Envoy's messages as the proto files do, where they are named as in JSON (tokenBucket). Of an
// EnvoyFilter those are what is below a value.
func nameFields(n *policyfile.Node, isEnvoy bool) {
	for i := range n.Members {
		m := &n.Members[i]
		nameFields(m.Value, isEnvoy || m.Name == "value")
		if isEnvoy {
			m.Name = policyfile.FieldOf(m.Name)
		}
	}
	for _, item := range n.Items {
		nameFields(item, isEnvoy)
	}
}

func isDescriptors(root *policyfile.Node) bool {
	return root.Get("domain") != nil && root.Get("descriptors") != nil
}

func (i *importer) leave(n *policyfile.Node, path, format string, args ...any) {
	i.left = append(i.left, Left{n.Line, n.Column, path, fmt.Sprintf(format, args...)})
}

// note leaves the keys of an object that a policy has nothing for. Reasons may say more about some of them.
func (i *importer) note(n *policyfile.Node, path string, known []string, reasons map[string]string) {
	for _, m := range n.Members {
		if slices.Contains(known, m.Name) {
			continue
		}
		reason, ok := reasons[m.Name]
		if !ok {
			reason = "a policy has nothing like it"
		}
		i.left = append(i.left, Left{m.Line, m.Column, path + "." + m.Name, reason})
	}
}

// rank is which of several limits of a cluster Envoy applies: a route's before a virtual host's before a filter's.
type rank uint8

const (
	ofFilter rank = iota
	ofHost
	ofRoute
)

// oneEach keeps one limit of each cluster, since a policy has one: that of the highest rank, and of these the first.
func (i *importer) oneEach() (kept []limit) {
	slices.SortStableFunc(i.limits, func(a, b limit) int { return int(b.rank) - int(a.rank) })
	for _, l := range i.limits {
		same := slices.IndexFunc(kept, func(k limit) bool { return k.cluster == l.cluster })
		if same < 0 {
			kept = append(kept, l)
			continue
		}
		i.leave(l.at, l.path, "is another limit of %s, and a policy has one for a cluster: that of line %d is converted", l.name(), kept[same].at.Line)
	}
	return kept
}

// name is a cluster's as messages have it.
func (l *limit) name() string {
	if l.cluster == "" {
		return "each cluster"
	}
	return l.cluster
}

// text is a scalar as text, "" where it is absent.
func text(n *policyfile.Node) string {
	switch {
	case n == nil || n.Kind == policyfile.Null:
		return ""
	case n.Kind == policyfile.Boolean:
		return fmt.Sprint(n.Truth)
	}
	return n.Text
}

func truth(n *policyfile.Node) bool {
	return n != nil && (n.Kind == policyfile.Boolean && n.Truth || strings.EqualFold(n.Text, "true"))
}

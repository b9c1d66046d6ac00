package plugin

import (
	"strings"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/policy"
)

// named is what a plugin keeps of policies by name. It is nil where the document has none: then no metadata is read.
type named struct {
	clusters map[string]*request.Cluster // by policy.NamedCluster; nil: mode off
	last     [16]namedLookup             // found last, by the lengths of the names
	metadata [16]clusterPolicy           // of clusters, read last, by the length of the name
}

// namedLookup is the result of a search, as lookup.
type namedLookup struct {
	used            bool
	cluster, policy string
	found           *request.Cluster
}

// clusterPolicy is the policy's name in a cluster's metadata, which are the same for all of its requests until the cluster is
// updated: read once a second.
type clusterPolicy struct {
	used            bool
	at              int64 // Plugin.lastHeartbeat
	cluster, policy string
}

// choose finds the policy for a request to a cluster, nil where it has none: the one that the route's metadata name, or those of
// the cluster, or the cluster's own. Call it in the stream's callbacks.
func (p *Plugin) choose(cluster string) *request.Cluster {
	if p.named == nil {
		return p.cluster(cluster)
	}
	if name := p.policyName(cluster); name != "" {
		if c, exists := p.namedCluster(cluster, name); exists {
			return c
		}
		p.observe.PolicyMissing(cluster, name, host.Now())
	}
	return p.cluster(cluster)
}

// policyName is the name of a policy in the metadata, "" where there is none. A value that is no string is no policy's name, so
// that it is said to be missing.
func (p *Plugin) policyName(cluster string) string {
	if name, err := host.Text(host.RoutePolicy); err == nil && name != "" {
		return name
	}
	of := &p.named.metadata[uint(len(cluster))%uint(len(p.named.metadata))]
	if !of.used || of.at != p.lastHeartbeat || of.cluster != cluster {
		name, _ := host.Text(host.ClusterPolicy) // "" where there is none
		*of = clusterPolicy{used: true, at: p.lastHeartbeat, cluster: strings.Clone(cluster), policy: strings.Clone(name)}
	}
	return of.policy
}

// namedCluster finds a cluster with the policy of this name. Exists is false where the document has no such policy.
func (p *Plugin) namedCluster(cluster, name string) (c *request.Cluster, exists bool) {
	last := &p.named.last[uint(len(cluster)+len(name))%uint(len(p.named.last))]
	if last.used && last.cluster == cluster && last.policy == name {
		return last.found, true
	}
	rules := p.document.Named(name)
	if rules == nil {
		return nil, false
	}
	cluster, name = strings.Clone(cluster), strings.Clone(name)
	key := policy.NamedCluster(cluster, name)
	c, known := p.named.clusters[key]
	if !known {
		p.makeRoom()
		if rules.Mode != policy.ModeOff {
			c = p.ready(cluster, name, rules)
			p.vm.remember(usedCluster{cluster, name})
		}
		p.named.clusters[key] = c
	}
	*last = namedLookup{used: true, cluster: cluster, policy: name, found: c}
	return c, true
}

// namedBy says of a policy, of which "" is the cluster's own, whose breaker is that of its requests.
func (p *Plugin) namedBy(upstream, name string) (n request.Named, breakerOf string) {
	n = request.Named{Policy: name, OwnBreaker: name != "" && p.document.OwnBreaker(upstream, name)}
	if n.OwnBreaker {
		return n, policy.NamedCluster(upstream, name)
	}
	return n, upstream
}

// withPolicy is the cluster with the policy of this name, "" for its own; nil where it has none.
func (p *Plugin) withPolicy(cluster, name string) (c *request.Cluster) {
	if name == "" {
		return p.cluster(cluster)
	}
	c, _ = p.namedCluster(cluster, name)
	return c
}

// rulesOf are the rules of the policy for a request to a cluster, and the policy's name, "" where it is the cluster's own; nil
// where nothing is enforced.
func (p *Plugin) rulesOf(cluster string) (name string, rules *policy.Policy) {
	if p.named != nil {
		if name = p.policyName(cluster); name != "" {
			if rules = p.document.Named(name); rules != nil && rules.Mode != policy.ModeOff {
				return strings.Clone(name), rules
			}
			if rules != nil {
				return "", nil
			}
		}
	}
	return "", p.document.For(cluster)
}

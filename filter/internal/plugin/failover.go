package plugin

import (
	"slices"
	"strings"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/header"
)

// failoverHeaders are the names of the headers that only failover may set, besides those that start with x-weir-.
func failoverHeaders(document *policy.Document) (names []string) {
	document.Each(func(_ string, p *policy.Policy) {
		if f := p.Failover; f != nil && !strings.HasPrefix(f.Header, header.Prefix) && !slices.Contains(names, f.Header) {
			names = append(names, f.Header)
		}
	})
	return names
}

// steers reports whether only failover may set the header. Names are compared as header.Alike does. It is a loop, since TinyGo
// allocates what a function literal captures as soon as slices.ContainsFunc has another caller and is not inlined.
func (p *Plugin) steers(name string) bool {
	for _, own := range p.failoverHeaders {
		if header.Alike(own, name) {
			return true
		}
	}
	return false
}

// failoverCluster finds a cluster that another one fails over to. A cluster without a policy gets an empty one, so that
// its responses are marked and counted.
func (p *Plugin) failoverCluster(name string) *request.Cluster {
	if c := p.cluster(name); c != nil {
		return c
	}
	c := p.withoutPolicy[name]
	if c == nil {
		c = p.ready(name, "", &policy.Policy{})
		p.withoutPolicy[name] = c
	}
	return c
}

package main

import (
	"slices"
	"strings"

	"github.com/weir-mesh/weir/filter/flow"
	"github.com/weir-mesh/weir/policy"
)

// failoverHeaders are the names of headers that only failover may set, beside those that start with x-weir-.
func failoverHeaders(document *policy.Document) (names []string) {
	document.Each(func(_ string, p *policy.Policy) {
		if f := p.Failover; f != nil && !strings.HasPrefix(f.Header, flow.HeaderPrefix) && !slices.Contains(names, f.Header) {
			names = append(names, f.Header)
		}
	})
	return names
}

// neighbour finds the plan of a cluster that another one fails over to. One that has no policy of its own gets a plan
// without any section, so that its answers are marked and counted.
func (p *plugin) neighbour(cluster string) *flow.Plan {
	if plan := p.plan([]byte(cluster)); plan != nil {
		return plan
	}
	plan := p.strangers[cluster]
	if plan == nil {
		rules := &policy.Policy{}
		plan = flow.NewPlan(cluster, rules, p.worker, p.mesh, newObserver(cluster, rules, p.faults, p.count))
		p.strangers[cluster] = plan
		p.published.Add(plan, rules, newGauges(cluster, rules, p.faults))
	}
	return plan
}

package request

import (
	"github.com/weir-mesh/weir/filter/internal/mesh"
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/filter/internal/stage/breaker"
	"github.com/weir-mesh/weir/filter/internal/stage/budget"
	"github.com/weir-mesh/weir/filter/internal/stage/bulkhead"
	"github.com/weir-mesh/weir/filter/internal/stage/limit"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/compile"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// newChain is the stages of a policy, in the order in which they admit. A stage whose state is not in the cluster's
// record comes after those whose state is: if it refuses, what they had admitted is given back. The retry budget comes
// last, since it counts the requests that all others admitted.
//
//	limit of this cluster:          Shared{breaker, limit, bulkhead, budget}
//	limit by key, or of the mesh:   Shared{breaker, bulkhead} ─► limit ─► Shared{budget}
//	of a policy by name:            Shared{breaker} ─► Shared{limit, bulkhead} ─► Shared{budget}, or the same with limit apart
func (c *Cluster) newChain(p *policy.Policy, client *mesh.Client) *stage.Chain {
	var byUpstream, members, after []stage.Member // of one record, but where the policy is one by name
	var apart []stage.Stage
	if c.breaker != nil {
		byUpstream = append(byUpstream, breaker.New(c.breaker, &c.failures, c.observer))
	}
	if c.ofUpstream == nil {
		members, byUpstream = byUpstream, nil
	}
	const index = 0 // of the policy's only limit
	learns := false
	if l := p.RateLimit; l != nil {
		learns = l.Algorithm == policy.Adaptive
		switch {
		case l.Scope == policy.ScopeMesh:
			c.mesh = client.NewLimit(c.name, l, index, func(share *ratelimit.Limiter) stage.Stage {
				if c.key != nil {
					return c.byKey(share, index, l)
				}
				return c.shared(false, limit.NewPerCluster(share, index, false))
			})
			apart = append(apart, c.mesh)
		case c.key != nil:
			apart = append(apart, c.byKey(c.limiter, index, l))
		default:
			members = append(members, limit.NewLeasedPerCluster(c.limiter, index, learns, c.name, c.worker.Leases))
		}
	}
	if b := p.Bulkhead; b != nil {
		config := compile.Bulkhead(b, sharedstate.WorkerExpiry)
		members = append(members, bulkhead.New(config, c.name, c.worker.Holds, c.observer))
	}
	if c.retries != nil {
		c.budget = budget.New(c.retries.Budget, c.retries.RouterMost(), c.worker.ID)
		if len(apart) > 0 || c.ofUpstream != nil {
			after = append(after, c.budget)
		} else {
			members = append(members, c.budget)
		}
	}
	var stages []stage.Stage
	if len(byUpstream) > 0 {
		stages = append(stages, c.sharedByUpstream(true, byUpstream...))
	}
	if len(members) > 0 {
		stages = append(stages, c.shared(c.breaker != nil && c.ofUpstream == nil || learns && len(apart) == 0, members...))
	}
	stages = append(stages, apart...)
	if len(after) > 0 {
		stages = append(stages, c.sharedByUpstream(false, after...))
	}
	return stage.NewChain(c.breaker != nil || learns, stages...)
}

func (c *Cluster) shared(learns bool, members ...stage.Member) stage.Stage {
	return stage.NewShared(c.cell, &c.record, learns, c.observer, members...)
}

// sharedByUpstream joins the breaker, or the retry budget, which are upstream's whatever the policy is.
func (c *Cluster) sharedByUpstream(learns bool, members ...stage.Member) stage.Stage {
	cell, record := c.breakerRecord()
	return stage.NewShared(cell, record, learns, c.observer, members...)
}

func (c *Cluster) byKey(l *ratelimit.Limiter, index int, rules *policy.RateLimit) stage.Stage {
	return limit.NewPerKey(c.worker.Store, c.name, l, index, rules.MaxKeys, rules.Algorithm == policy.Adaptive, c.observer)
}

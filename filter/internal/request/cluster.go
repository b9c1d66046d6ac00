package request

import (
	"github.com/weir-mesh/weir/filter/internal/fallbackcache"
	"github.com/weir-mesh/weir/filter/internal/key"
	"github.com/weir-mesh/weir/filter/internal/mesh"
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/filter/internal/stage/breaker"
	"github.com/weir-mesh/weir/filter/internal/stage/budget"
	"github.com/weir-mesh/weir/filter/internal/stage/bulkhead"
	"github.com/weir-mesh/weir/filter/internal/stage/limit"
	"github.com/weir-mesh/weir/filter/internal/worker"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/compile"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// Cluster is an upstream cluster in one plugin: its compiled policy, which does not change, and what the worker keeps for
// it. It works on one request at a time.
type Cluster struct {
	*compiled
	name     string
	worker   *worker.Worker
	observer Observer
	resumer  Resumer

	cell   *sharedstate.Cell
	record sharedstate.Record // the cluster's, as it was last loaded
	chain  *stage.Chain
	budget *budget.Stage        // nil: no retries
	mesh   *mesh.Limit          // nil: no limit of scope mesh
	key    *key.Hasher          // nil: the limit is not counted by key
	cache  *fallbackcache.Cache // nil: nothing is kept

	hosts    hosts
	failover failover
	begun    int // requests since the last TakeBegun
}

// NewCluster makes a cluster ready for a worker. Client is the plugin's client of Redis, nil without Redis.
func NewCluster(name string, p *policy.Policy, w *worker.Worker, client *mesh.Client, resumer Resumer, o Observer) *Cluster {
	c := &Cluster{compiled: compilePolicy(name, p), name: name, worker: w, observer: o, resumer: resumer}
	c.cell = sharedstate.NewCell(w.Store, sharedstate.ClusterKey(name), &c.record)
	if l := p.RateLimit; l != nil && len(l.Key) > 0 {
		seed := w.Seed
		if l.Scope == policy.ScopeMesh {
			seed = client.KeySeed()
		}
		c.key = key.NewHasher(l.Key, seed)
	}
	if f := p.Fallback; f != nil && f.EnableCache {
		c.cache = fallbackcache.New(w.Store, name, f, w.Seed, w.Captures)
	}
	c.chain = c.newChain(p, client)
	return c
}

// newChain is the stages of a policy, in the order in which they are asked. A stage that has no part in the cluster's
// record is asked after those that have: if it refuses, what they had admitted is given back. The retry budget counts
// what all others admitted.
//
//	limit of this cluster:          Shared{breaker, limit, bulkhead, budget}
//	limit by key, or of the mesh:   Shared{breaker, bulkhead} ─► limit ─► Shared{budget}
func (c *Cluster) newChain(p *policy.Policy, client *mesh.Client) *stage.Chain {
	var members, after []stage.Member
	var apart []stage.Stage
	if c.breaker != nil {
		members = append(members, breaker.New(c.breaker, &c.failures, c.observer))
	}
	const index = 0 // of the one limit
	learns := false
	if l := p.RateLimit; l != nil {
		learns = l.Algorithm == policy.Adaptive
		switch {
		case l.Scope == policy.ScopeMesh:
			c.mesh = client.NewLimit(c.name, l, index, func(share *ratelimit.Limiter) stage.Stage {
				if c.key != nil {
					return c.byKey(share, index, l)
				}
				return c.shared(false, limit.NewOwn(share, index))
			})
			apart = append(apart, c.mesh)
		case c.key != nil:
			apart = append(apart, c.byKey(c.limiter, index, l))
		default:
			members = append(members, limit.NewOwn(c.limiter, index))
		}
	}
	if b := p.Bulkhead; b != nil {
		config := compile.Bulkhead(b, sharedstate.WorkerExpiry)
		members = append(members, bulkhead.New(config, c.name, c.worker.Holds, c.observer))
	}
	if c.retries != nil {
		c.budget = budget.New(c.retries.Budget, c.retries.RouterMost())
		if len(apart) > 0 {
			after = append(after, c.budget)
		} else {
			members = append(members, c.budget)
		}
	}
	var stages []stage.Stage
	if len(members) > 0 {
		stages = append(stages, c.shared(c.breaker != nil || learns && len(apart) == 0, members...))
	}
	stages = append(stages, apart...)
	if len(after) > 0 {
		stages = append(stages, c.shared(false, after...))
	}
	return stage.NewChain(c.breaker != nil || learns, stages...)
}

func (c *Cluster) shared(learns bool, members ...stage.Member) stage.Stage {
	return stage.NewShared(c.cell, &c.record, learns, c.observer, members...)
}

func (c *Cluster) byKey(l *ratelimit.Limiter, index int, rules *policy.RateLimit) stage.Stage {
	return limit.NewByKey(c.worker.Store, c.name, l, index, rules.MaxKeys, rules.Algorithm == policy.Adaptive, c.observer)
}

// Name is the cluster's name.
func (c *Cluster) Name() string { return c.name }

// Key is what the cluster's limit counts by; nil where it is not counted by key.
func (c *Cluster) Key() *key.Hasher { return c.key }

// Cache is the cluster's fallback cache; nil where nothing is kept.
func (c *Cluster) Cache() *fallbackcache.Cache { return c.cache }

// Retries reports whether requests of this method are retried where they fail.
func (c *Cluster) Retries(method string) bool {
	return c.retries != nil && c.retries.Conditions.Method(method)
}

// Mesh is the cluster's limit that all proxies share; nil where it has none.
func (c *Cluster) Mesh() *mesh.Limit { return c.mesh }

// LoadRecord loads the cluster's record, and returns its version.
func (c *Cluster) LoadRecord() (cas uint32, err error) { return c.cell.Load() }

// Record is the cluster's record as it was last loaded.
func (c *Cluster) Record() *sharedstate.Record { return &c.record }

// Observer hears what becomes of the cluster's requests.
func (c *Cluster) Observer() Observer { return c.observer }

// Begun is how many requests were decided about since ResetBegun.
func (c *Cluster) Begun() int { return c.begun }

// ResetBegun starts counting anew.
func (c *Cluster) ResetBegun() { c.begun = 0 }

// change changes the cluster's record outside of the stages. A failure is reported, and ok is false.
func (c *Cluster) change(do func(r *sharedstate.Record) (store bool)) (ok bool) {
	conflicts, err := c.cell.Update(func() bool { return do(&c.record) })
	c.observer.Conflicts(conflicts)
	if err != nil {
		c.observer.Fault(err)
	}
	return err == nil
}

// onResponse is set on upstream's good responses.
var onResponse = []header.Pair{{header.Source, "upstream"}}

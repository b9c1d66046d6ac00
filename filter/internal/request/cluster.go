package request

import (
	"slices"

	"github.com/weir-mesh/weir/filter/internal/fallbackcache"
	"github.com/weir-mesh/weir/filter/internal/key"
	"github.com/weir-mesh/weir/filter/internal/mesh"
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/filter/internal/stage/budget"
	"github.com/weir-mesh/weir/filter/internal/worker"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/bulkhead"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/sharedstate"
)

// Cluster is an upstream cluster in one plugin: its compiled policy, which does not change, and what the worker keeps
// for it. One goroutine uses it at a time. A cluster has another one for each of the policies by name that its requests
// get, see named.go.
type Cluster struct {
	*compiled
	name     string // upstream's, or what its policy is called: policy.NamedCluster
	upstream string // the cluster that its requests go to
	worker   *worker.Worker
	observer Observer
	resumer  Resumer

	cell       *sharedstate.Cell
	record     sharedstate.Record // the cluster's, as it was last loaded
	ofUpstream *upstreamRecord    // breaker and retry budget of upstream; nil: they are in record
	chain      *stage.Chain
	judged     bool          // how a request ends matters: to a stage, a fallback or a retry
	budget     *budget.Stage // nil: no retries
	mesh       *mesh.Limit   // nil: no limit of scope mesh
	key        *key.Hasher   // nil: the limit is not counted by key
	shown      shownKeys
	cache      *fallbackcache.Cache // nil: no responses are kept

	hosts    hosts
	failover failover
	route    RouteCheck
	begun    int // requests since the last ResetBegun
}

// NewCluster makes a cluster ready for a worker. Client is the plugin's client of Redis, nil without Redis.
func NewCluster(name string, p *policy.Policy, w *worker.Worker, client *mesh.Client, resumer Resumer, o Observer) *Cluster {
	return newCluster(name, Named{}, p, w, client, resumer, o)
}

func newCluster(upstream string, n Named, p *policy.Policy, w *worker.Worker, client *mesh.Client, resumer Resumer, o Observer) *Cluster {
	name := policy.NamedCluster(upstream, n.Policy)
	c := &Cluster{compiled: compilePolicy(name, p), name: name, upstream: upstream, worker: w, observer: o, resumer: resumer}
	c.cell = sharedstate.NewKeptCell(w.Store, sharedstate.ClusterKey(name), &c.record)
	if n.Policy != "" && !n.OwnBreaker {
		c.ofUpstream = newUpstreamRecord(w.Store, upstream)
	}
	if l := p.RateLimit; l != nil && len(l.Key) > 0 {
		seed := w.Seed
		if l.Scope == policy.ScopeMesh {
			seed = client.KeySeed()
		}
		c.key = key.NewHasher(l.Key, seed)
		c.shown = shownKeys{show: l.Show, seed: w.Seed}
	}
	if f := p.Fallback; f != nil && f.EnableCache {
		c.cache = fallbackcache.New(w.Store, upstream, f, w.Seed, w.Captures)
	}
	c.chain = c.newChain(p, client)
	c.judged = c.chain.Learns() || c.fallbacks != nil || c.retries != nil
	return c
}

// Name is the cluster's name, of a policy by name policy.NamedCluster.
func (c *Cluster) Name() string { return c.name }

// Policy is the name of the policy, "" where it is the cluster's own.
func (c *Cluster) Policy() string {
	if c.name == c.upstream {
		return ""
	}
	return c.name[len(c.upstream)+1:]
}

// Breaks reports whether the policy has a circuit breaker.
func (c *Cluster) Breaks() bool { return c.breaker != nil }

// OwnBreaker is policy.Document.OwnBreaker of a policy by name.
func (c *Cluster) OwnBreaker() bool { return c.name != c.upstream && c.ofUpstream == nil }

// Upstream is the name of the cluster that the requests go to.
func (c *Cluster) Upstream() string { return c.upstream }

// Key hashes what the cluster's limit counts by; nil if the limit is not by key.
func (c *Cluster) Key() *key.Hasher { return c.key }

// Cache is the cluster's fallback cache; nil if the policy has none.
func (c *Cluster) Cache() *fallbackcache.Cache { return c.cache }

// Retries reports whether requests of this method are retried when they fail.
func (c *Cluster) Retries(method string) bool {
	return c.retries != nil && c.retries.Conditions.Method(method)
}

// OwnsAttempts reports whether only the route may make the router retry a request: a limit counts it once, whatever its
// client asks of the router. With a section retry, the filter tells the router how often.
func (c *Cluster) OwnsAttempts() bool { return c.limiter != nil && c.retries == nil && !c.shadow }

// ErrorOnly reports whether requests of this method are answered with an error where upstream can't: neither from the cache
// nor with default data.
func (c *Cluster) ErrorOnly(method string) bool {
	return c.fallbacks != nil && !slices.Contains(c.methods, method)
}

// DefaultsByPath reports whether the default data depends on the path. A route may change it before the response comes.
func (c *Cluster) DefaultsByPath() bool {
	return c.fallbacks != nil && c.fallbacks.Default && len(c.defaults.DefaultByPath) > 0
}

// Mesh is the cluster's limit that all proxies share; nil where it has none.
func (c *Cluster) Mesh() *mesh.Limit { return c.mesh }

// Shown is what the workers show of the requests that the bulkhead counts.
func (c *Cluster) Shown() bulkhead.Shown { return c.worker.Holds.Shown(c.name) }

// Observer is notified of the decisions and responses of the cluster's requests.
func (c *Cluster) Observer() Observer { return c.observer }

// Begun is how many requests were decided since the last ResetBegun.
func (c *Cluster) Begun() int { return c.begun }

// ResetBegun sets Begun to zero.
func (c *Cluster) ResetBegun() { c.begun = 0 }

// change changes the record with the cluster's breaker and retry budget outside of the stages. A failure is reported, and
// ok is false.
func (c *Cluster) change(do func(r *sharedstate.Record) (store bool)) (ok bool) {
	cell, record := c.breakerRecord()
	conflicts, err := cell.Update(func() bool { return do(record) })
	c.observer.Conflicts(conflicts)
	if err != nil {
		c.observer.Fault(err)
	}
	return err == nil
}

// onResponse is set on upstream's good responses.
var onResponse = []header.Pair{{header.Source, "upstream"}}

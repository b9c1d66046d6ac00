package flow

import (
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/bulkhead"
	"github.com/weir-mesh/weir/policy/compile"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// Plan is one cluster's policy, made ready once so that a request finds nothing left to work out. It belongs to one
// worker, and works on one request at a time.
type Plan struct {
	cluster  string
	worker   *Worker
	observer Observer
	begun    int  // requests since the gauges were last brought up to date
	shadow   bool // decide, count and label, never act

	record  sharedstate.Record // the cluster's, as it was last loaded
	cell    *sharedstate.Cell
	scratch []byte // for a limit's first state

	key     []policy.KeyPart // what the limit is counted by; none: the cluster as a whole
	keySeed [2]uint64
	keyBuf  []byte

	breaker  *breaker.Config    // nil: off
	bulkhead *bulkhead.Config   // nil: off
	limiter  *ratelimit.Limiter // nil: off
	keyed    *keyed             // the limit is counted by key; nil: the cluster has one
	mesh     *meshLimit         // the limit is shared by all proxies; limiter and keyed are then this one's share of it
	learns   bool               // the limit moves by outcomes
	fallback *fallback.Config   // nil: off
	cached   *cached            // nil: off
	failures policy.Failures
	hosts    hosts
	retries  *retries  // nil: off
	failover *failover // nil: off
	timeout  int64     // nanoseconds after which an answer is late; 0: never

	limitHeaders policy.HeadersMode
	forRouter    []Header // set on requests; not on upgrades
	fromUpstream []Header // set on upstream's answers
	answers      answers
}

// NewPlan compiles a cluster's policy for a worker. Events go to observer.
func NewPlan(cluster string, p *policy.Policy, worker *Worker, mesh *Mesh, observer Observer) *Plan {
	plan := &Plan{
		cluster:  cluster,
		worker:   worker,
		observer: observer,
		shadow:   p.Mode == policy.ModeShadow,
		failures: policy.DefaultFailures(),
	}
	plan.cell = sharedstate.NewCell(worker.store, sharedstate.ClusterKey(cluster), &plan.record)
	if b := p.CircuitBreaker; b != nil {
		plan.breaker = compile.Breaker(b)
		plan.failures = b.ExpectedFailures
		plan.timeout = int64(b.Timeout)
		if b.TimeoutWritten && !plan.shadow {
			plan.forRouter = []Header{{headerRouterTimeout, milliseconds(int64(b.Timeout))}}
		}
	}
	if p.Retry != nil && !plan.shadow {
		plan.retries = newRetries(p.Retry, plan.timeout, plan.forRouter)
	}
	if f := p.Failover; f != nil {
		plan.failover = &failover{header: f.Header, to: f.To}
	}
	if b := p.Bulkhead; b != nil {
		plan.bulkhead = compile.Bulkhead(b, holdExpiry)
	}
	if l := p.RateLimit; l != nil {
		plan.limiter = compile.Limiter(l)
		plan.learns = l.Algorithm == policy.Adaptive
		plan.limitHeaders = l.Headers
		plan.key = l.Key
		plan.keySeed = worker.seed
		switch {
		case l.Scope == policy.ScopeMesh:
			plan.mesh = newMeshLimit(mesh, plan, l)
			plan.keySeed = mesh.keySeed()
		case len(l.Key) > 0:
			plan.keyed = newKeyed(cluster, l, plan.limiter, worker)
		}
	}
	if f := p.Fallback; f != nil {
		plan.fallback = &fallback.Config{
			Cache:    f.EnableCache,
			Default:  f.EnableDefault && f.Default != nil,
			Degraded: f.EnableDegraded,
		}
		if f.EnableCache {
			plan.cached = newCached(cluster, f, worker)
		}
		plan.fallback.On[fallback.RateLimited] = f.On.RateLimited
		plan.fallback.On[fallback.CircuitOpen] = f.On.CircuitOpen
		plan.fallback.On[fallback.BulkheadFull] = f.On.BulkheadFull
		plan.fallback.On[fallback.UpstreamFailure] = f.On.UpstreamFailure
	}
	plan.fromUpstream = []Header{{HeaderSource, fallback.FromUpstream.String()}}
	plan.answers = newAnswers(cluster, p, plan.limiter)
	return plan
}

// Cluster is the name of the plan's cluster.
func (p *Plan) Cluster() string { return p.cluster }

// decidesLater says that something else than the cluster's record decides last about a request.
func (p *Plan) decidesLater() bool { return p.keyed != nil || p.mesh != nil }

// shares says whether the cluster's record has anything to do with a request.
func (p *Plan) shares() bool {
	return p.breaker != nil || p.bulkhead != nil || p.retries != nil || (p.limiter != nil && p.keyed == nil && p.mesh == nil)
}

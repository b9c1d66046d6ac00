package flow

import (
	"strconv"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// Plan is one cluster's policy, made ready once so that a request finds nothing left to work out.
type Plan struct {
	cluster  string
	cell     *sharedstate.Cell
	observer Observer

	breaker  *breaker.Config         // nil: off
	bucket   *ratelimit.BucketConfig // nil: off
	fallback *fallback.Config        // nil: off
	failures policy.Failures
	timeout  int64 // nanoseconds after which an answer is late; 0: never

	limitHeaders policy.HeadersMode
	forRouter    []Header // set on requests; not on upgrades
	fromUpstream []Header // set on upstream's answers
	answers      answers
}

// NewPlan compiles a cluster's policy. Records are kept in store; events go to observer.
func NewPlan(cluster string, p *policy.Policy, store sharedstate.Store, observer Observer) *Plan {
	plan := &Plan{
		cluster:  cluster,
		cell:     sharedstate.NewCell(store, sharedstate.ClusterKey(cluster)),
		observer: observer,
		failures: policy.DefaultFailures(),
	}
	if b := p.CircuitBreaker; b != nil {
		plan.breaker = &breaker.Config{
			FailureThreshold: uint32(b.FailureThreshold),
			SuccessThreshold: uint32(b.SuccessThreshold),
			Probes:           b.HalfOpenMaxCalls,
			Recovery:         b.RecoveryTimeout,
			MaxRecovery:      b.MaxRecoveryTimeout,
			ProbeTimeout:     b.Timeout,
		}
		plan.failures = b.ExpectedFailures
		plan.timeout = int64(b.Timeout)
		if b.TimeoutWritten {
			ms := max(b.Timeout.Milliseconds(), 1)
			plan.forRouter = []Header{{"x-envoy-upstream-rq-timeout-ms", strconv.FormatInt(ms, 10)}}
		}
	}
	if l := p.RateLimit; l != nil {
		bucket := ratelimit.NewBucketConfig(l.Burst, l.Refill)
		plan.bucket = &bucket
		plan.limitHeaders = l.Headers
	}
	if f := p.Fallback; f != nil {
		plan.fallback = &fallback.Config{
			Default:  f.EnableDefault && f.Default != nil,
			Degraded: f.EnableDegraded,
		}
		plan.fallback.On[fallback.RateLimited] = f.On.RateLimited
		plan.fallback.On[fallback.CircuitOpen] = f.On.CircuitOpen
		plan.fallback.On[fallback.BulkheadFull] = f.On.BulkheadFull
		plan.fallback.On[fallback.UpstreamFailure] = f.On.UpstreamFailure
	}
	plan.fromUpstream = []Header{{HeaderSource, fallback.FromUpstream.String()}}
	plan.answers = newAnswers(cluster, p, plan.bucket)
	return plan
}

// Cluster is the name of the plan's cluster.
func (p *Plan) Cluster() string { return p.cluster }

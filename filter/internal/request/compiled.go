package request

import (
	"github.com/weir-mesh/weir/filter/internal/localreply"
	"github.com/weir-mesh/weir/filter/internal/retries"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/compile"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/policy/ratelimit"
)

// compiled is a cluster's policy in the form that requests need. It does not change after it was made.
type compiled struct {
	shadow         bool // decide, count and label, never act
	failures       policy.Failures
	timeout        int64              // nanoseconds after which a response is late; 0: never
	leastDeadline  int64              // nanoseconds that a client's deadline has to leave upstream; policy min_client_deadline
	timeoutWritten bool               // the policy writes it: gRPC calls and event streams are judged by it, too
	breaker        *breaker.Config    // nil: off
	limiter        *ratelimit.Limiter // nil: off. The limit of the policy, not a proxy's share of it
	retries        *retries.Rules     // nil: off
	failoverRules  *policy.Failover   // nil: off
	fallbacks      *fallback.Config   // nil: off
	methods        []string           // of fallback
	defaults       *policy.Fallback   // the section, for DefaultFor; nil: off
	// fallbacks as they are for other methods and for upgrades
	fallbacksForError *fallback.Config
	maxConcurrent     int // of the bulkhead
	replies           *localreply.Replies

	forRouter    []header.Pair                               // set on requests; not on upgrades
	onFailure    []header.Pair                               // set on upstream's failing response, if no fallback replaces it
	onLocalError []header.Pair                               // set on a response that Envoy made because upstream failed
	onShadow     [fallback.UpstreamFailure + 1][]header.Pair // set on upstream's response, by the reason of shadow's refusal
}

func compilePolicy(cluster string, p *policy.Policy) *compiled {
	c := &compiled{shadow: p.Mode == policy.ModeShadow, failures: policy.DefaultFailures(), failoverRules: p.Failover}
	c.leastDeadline = int64(policy.DefaultMinClientDeadline)
	if b := p.CircuitBreaker; b != nil {
		c.breaker = compile.Breaker(b)
		c.failures = b.ExpectedFailures
		c.timeout, c.timeoutWritten, c.leastDeadline = int64(b.Timeout), b.TimeoutWritten, int64(b.MinClientDeadline)
		if b.TimeoutWritten && !c.shadow {
			c.forRouter = retries.TimeoutHeader(c.timeout)
		}
	}
	if p.Retry != nil && !c.shadow {
		c.retries = retries.New(p.Retry, c.timeout, c.forRouter)
	}
	if p.Bulkhead != nil {
		c.maxConcurrent = p.Bulkhead.MaxConcurrent
	}
	if p.RateLimit != nil {
		c.limiter = compile.Limiter(p.RateLimit)
	}
	if f := p.Fallback; f != nil {
		c.fallbacks = &fallback.Config{
			Cache:    f.EnableCache,
			Default:  f.EnableDefault && (f.Default != nil || len(f.DefaultByPath) > 0),
			Degraded: f.EnableDegraded,
		}
		c.fallbacks.On[fallback.RateLimited] = f.On.RateLimited
		c.fallbacks.On[fallback.CircuitOpen] = f.On.CircuitOpen
		c.fallbacks.On[fallback.BulkheadFull] = f.On.BulkheadFull
		c.fallbacks.On[fallback.UpstreamFailure] = f.On.UpstreamFailure
		c.fallbacksForError, c.methods, c.defaults = c.fallbacks.ForError(), f.Methods, f
	}
	c.replies = localreply.New(cluster, p, c.limiter)
	failed := fallback.UpstreamFailure.String()
	if c.shadow {
		failed = header.ShadowPrefix + failed
	}
	c.onFailure = marks(fallback.FromUpstream, failed)
	c.onLocalError = marks(fallback.FromError, failed)
	for reason := range c.onShadow {
		c.onShadow[reason] = marks(fallback.FromUpstream, header.ShadowPrefix+fallback.Reason(reason).String())
	}
	return c
}

// marks are the headers that say where a response came from, and why.
func marks(source fallback.Source, reason string) []header.Pair {
	return []header.Pair{{header.Source, source.String()}, {header.Reason, reason}}
}

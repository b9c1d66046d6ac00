// Package compile makes the configurations of the algorithms from the sections of a policy, once for a cluster. The
// path of a request and the view of operators both take them from here, so that both read a cluster's record the same
// way.
//
//	policy.CircuitBreaker ──► breaker.Config
//	policy.RateLimit      ──► ratelimit.Limiter, ratelimit.AdaptiveConfig
//	policy.Bulkhead       ──► bulkhead.Config
//	policy.Retry          ──► retry.Budget
//
// The section must not be nil, and must be valid: package policy decoded it.
package compile

import (
	"math"
	"time"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/bulkhead"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/policy/retry"
)

// Breaker is the configuration of a section circuit_breaker. A probe counts as lost after the section's timeout.
func Breaker(b *policy.CircuitBreaker) *breaker.Config {
	c := &breaker.Config{
		FailureThreshold: uint32(b.FailureThreshold),
		SuccessThreshold: uint32(b.SuccessThreshold),
		Probes:           b.HalfOpenMaxCalls,
		Recovery:         b.RecoveryTimeout,
		MaxRecovery:      b.MaxRecoveryTimeout,
		ProbeTimeout:     b.Timeout,
	}
	if r := b.FailureRate; r != nil {
		c.FailureRate = &breaker.Rate{Threshold: r.Threshold, Window: r.Window, MinCalls: uint32(r.MinCalls)}
	}
	if r := b.SlowCalls; r != nil {
		c.SlowCalls = &breaker.Slow{SlowerThan: r.SlowerThan, Rate: breaker.Rate{
			Threshold: r.Threshold, Window: r.Window, MinCalls: uint32(r.MinCalls),
		}}
	}
	return c
}

// Limiter is the algorithm of a section rate_limit, with the section's numbers. Of a limit of scope mesh it is the
// whole limit, not one proxy's share.
func Limiter(l *policy.RateLimit) *ratelimit.Limiter {
	switch l.Algorithm {
	case policy.TokenBucket:
		return ratelimit.NewTokenBucket(l.Burst, l.Refill)
	case policy.Adaptive:
		return ratelimit.NewAdaptive(l.Requests, l.Window, Adaptive(l))
	default:
		return ratelimit.NewSlidingWindow(l.Requests, l.Window)
	}
}

// Adaptive is how the limit of a section rate_limit with `algorithm: adaptive` moves.
func Adaptive(l *policy.RateLimit) ratelimit.AdaptiveConfig {
	return ratelimit.AdaptiveConfig{
		Threshold: l.AdaptiveThreshold, Backoff: l.BackoffFactor, Recovery: l.RecoveryFactor,
		Interval: l.AdaptiveInterval, MinSamples: l.AdaptiveMinSamples,
	}
}

// Bulkhead is the configuration of a section bulkhead. A worker that was silent for workerExpiry counts as gone.
func Bulkhead(b *policy.Bulkhead, workerExpiry time.Duration) *bulkhead.Config {
	return &bulkhead.Config{Max: uint32(min(int64(b.MaxConcurrent), math.MaxUint32)), Expiry: workerExpiry}
}

// Budget is the budget of a section retry.
func Budget(r *policy.Retry) retry.Budget {
	return retry.NewBudget(r.Budget.Percent, r.Budget.MinPerSecond)
}

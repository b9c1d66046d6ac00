package compile_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/bulkhead"
	"github.com/weir-mesh/weir/policy/compile"
	"github.com/weir-mesh/weir/policy/ratelimit"
)

func TestBreaker(t *testing.T) {
	for _, tc := range []struct {
		name    string
		section policy.CircuitBreaker
		want    breaker.Config
	}{
		{
			"consecutive failures",
			policy.CircuitBreaker{FailureThreshold: 5, SuccessThreshold: 3, HalfOpenMaxCalls: 2, RecoveryTimeout: time.Minute, MaxRecoveryTimeout: time.Hour, Timeout: time.Second},
			breaker.Config{FailureThreshold: 5, SuccessThreshold: 3, Probes: 2, Recovery: time.Minute, MaxRecovery: time.Hour, ProbeTimeout: time.Second},
		},
		{
			"both rates",
			policy.CircuitBreaker{
				FailureRate: &policy.FailureRate{Threshold: 0.5, Window: 10 * time.Second, MinCalls: 20},
				SlowCalls:   &policy.SlowCalls{SlowerThan: time.Second, Threshold: 0.25, Window: 20 * time.Second, MinCalls: 10},
			},
			breaker.Config{
				FailureRate: &breaker.Rate{Threshold: 0.5, Window: 10 * time.Second, MinCalls: 20},
				SlowCalls:   &breaker.Slow{SlowerThan: time.Second, Rate: breaker.Rate{Threshold: 0.25, Window: 20 * time.Second, MinCalls: 10}},
			},
		},
	} {
		if diff := cmp.Diff(&tc.want, compile.Breaker(&tc.section)); diff != "" {
			t.Errorf("%s: got (+), want (-):\n%s", tc.name, diff)
		}
	}
}

// TestLimiter: what a fresh limiter admits in its window shows which algorithm it is.
func TestLimiter(t *testing.T) {
	section := policy.RateLimit{Requests: 10, Window: 20 * time.Second, Burst: 5, Refill: 0.5, BackoffFactor: 0.7}
	for _, tc := range []struct {
		algorithm policy.Algorithm
		quota     int64
		window    time.Duration
	}{
		{policy.SlidingWindow, 10, 20 * time.Second},
		{policy.TokenBucket, 5, 10 * time.Second}, // 5 tokens at 0.5 a second
		{policy.Adaptive, 10, 20 * time.Second},
	} {
		section.Algorithm = tc.algorithm
		if quota, window := compile.Limiter(&section).Quota(); quota != tc.quota || window != tc.window {
			t.Errorf("algorithm %d: got %d in %v, want %d in %v", tc.algorithm, quota, window, tc.quota, tc.window)
		}
	}
}

func TestAdaptive(t *testing.T) {
	got := compile.Adaptive(&policy.RateLimit{AdaptiveThreshold: 0.8, BackoffFactor: 0.7, RecoveryFactor: 1.2, AdaptiveInterval: time.Second, AdaptiveMinSamples: 10})
	want := ratelimit.AdaptiveConfig{Threshold: 0.8, Backoff: 0.7, Recovery: 1.2, Interval: time.Second, MinSamples: 10}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestBulkhead(t *testing.T) {
	for _, tc := range []struct {
		most int
		want uint32
	}{{1, 1}, {1000, 1000}, {math.MaxInt, math.MaxUint32}} {
		got := *compile.Bulkhead(&policy.Bulkhead{MaxConcurrent: tc.most}, 5*time.Second)
		if want := (bulkhead.Config{Max: tc.want, Expiry: 5 * time.Second}); got != want {
			t.Errorf("%d: got %+v, want %+v", tc.most, got, want)
		}
	}
}

func TestBudget(t *testing.T) {
	b := compile.Budget(&policy.Retry{Budget: policy.RetryBudget{Percent: 20, MinPerSecond: 3}})
	state := make([]byte, b.Size())
	b.Reset(state)
	if got := b.Remaining(state, 1e9); got != 30 {
		t.Errorf("without requests: got %d retries in 10 s, want 30", got)
	}
}

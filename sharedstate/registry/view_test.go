package registry

import (
	"testing"
	"time"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/compile"
	"github.com/weir-mesh/weir/sharedstate"
)

// anAdaptive limit of 100 in 10 s is 600 a minute.
func anAdaptive(scope policy.Scope, key ...policy.KeyPart) *policy.Policy {
	return &policy.Policy{RateLimit: &policy.RateLimit{
		Algorithm: policy.Adaptive, Scope: scope, Key: key, Requests: 100, Window: 10 * time.Second,
		AdaptiveThreshold: 0.8, BackoffFactor: 0.5, RecoveryFactor: 1.2, AdaptiveInterval: time.Second, AdaptiveMinSamples: 1,
	}}
}

func TestViewOfNoSections(t *testing.T) {
	v, r := NewView(&policy.Policy{}), &sharedstate.Record{}
	if got := v.RetryAfter(r, second); got != 0 {
		t.Errorf("RetryAfter: got %v, want 0", got)
	}
	if got := v.InFlight(r, nil, second); got != 0 {
		t.Errorf("InFlight: got %d, want 0", got)
	}
	if got := v.RetryBudget(r, second); got != 0 {
		t.Errorf("RetryBudget: got %d, want 0", got)
	}
	if got := v.Limit(r, &RedisView{}, second); got != (Limit{}) {
		t.Errorf("Limit: got %+v, want the zero Limit", got)
	}
}

func TestViewOfALimit(t *testing.T) {
	bucket := &policy.Policy{RateLimit: &policy.RateLimit{Algorithm: policy.TokenBucket, Burst: 5, Refill: 0.5}}
	used := func(p *policy.Policy, n int64) (state []byte) {
		l := compile.Limiter(p.RateLimit)
		state = make([]byte, l.Size())
		l.Reset(state)
		l.Take(state, 100*second, n)
		return state
	}
	full, window := anAdaptive(policy.ScopeProxy), 10*time.Second
	reply := RedisView{PublishedAt: 100 * second, Limit: 50, Remaining: 20, SuccessRatio: 0.5, SuccessRatioKnown: true}
	for _, tc := range []struct {
		name   string
		policy *policy.Policy
		state  []byte
		redis  RedisView
		at     int64
		want   Limit
	}{
		{"unused", full, nil, RedisView{}, 100, Limit{600, 600, window, 100, true, 0, false}},
		{"used", full, used(full, 30), RedisView{}, 100, Limit{600, 600, window, 70, true, 0, false}},
		{"a window later", full, used(full, 30), RedisView{}, 120, Limit{600, 600, window, 100, true, 0, false}},
		{"of another policy", full, used(bucket, 2), RedisView{}, 100, Limit{600, 600, window, 60, true, 0, false}}, // 2 of 5 were used
		{"a bucket", bucket, used(bucket, 2), RedisView{}, 100, Limit{30, 30, window, 3, true, 0, false}},
		{"by key", anAdaptive(policy.ScopeProxy, policy.KeyPart{}), nil, RedisView{}, 100, Limit{600, 600, window, 100, false, 0, false}},
		{"mesh, nothing published", anAdaptive(policy.ScopeMesh), nil, RedisView{}, 100, Limit{600, 600, window, 100, true, 0, false}},
		{"mesh", anAdaptive(policy.ScopeMesh), nil, reply, 109, Limit{300, 600, window, 20, true, 0.5, true}},
		{"mesh, a window later", anAdaptive(policy.ScopeMesh), nil, reply, 110, Limit{300, 600, window, 50, true, 0.5, true}},
		{"mesh, by key", anAdaptive(policy.ScopeMesh, policy.KeyPart{}), nil, reply, 100, Limit{600, 600, window, 100, false, 0, false}},
	} {
		if got := NewView(tc.policy).Limit(&sharedstate.Record{Limit: tc.state}, &tc.redis, tc.at*second); got != tc.want {
			t.Errorf("%s: got %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func TestViewOfABreaker(t *testing.T) {
	p := &policy.Policy{CircuitBreaker: &policy.CircuitBreaker{FailureThreshold: 1, SuccessThreshold: 1, HalfOpenMaxCalls: 1, RecoveryTimeout: 30 * time.Second, MaxRecoveryTimeout: 30 * time.Second}}
	var r sharedstate.Record
	c := compile.Breaker(p.CircuitBreaker)
	v := r.Breaker.Admit(c, 100*second)
	r.Breaker.Settle(c, v.Ticket, breaker.Call{Outcome: breaker.Failure}, 100*second)
	for _, tc := range []struct {
		at   int64
		want time.Duration
	}{{100, 30 * time.Second}, {112, 18 * time.Second}, {130, 0}} {
		if got := NewView(p).RetryAfter(&r, tc.at*second); got != tc.want {
			t.Errorf("RetryAfter at %d s: got %v, want %v", tc.at, got, tc.want)
		}
	}
}

func TestViewOfABulkheadAndABudget(t *testing.T) {
	v := NewView(&policy.Policy{
		Bulkhead: &policy.Bulkhead{MaxConcurrent: 10},
		Retry:    &policy.Retry{Budget: policy.RetryBudget{MinPerSecond: 2}},
	})
	var r sharedstate.Record
	r.Bulkhead.Heartbeat(7, 4, 100*second)
	for _, tc := range []struct {
		at   int64
		want uint32
	}{{100, 4}, {105, 4}, {106, 0}} { // a worker counts for 5 s after its last heartbeat
		if got := v.InFlight(&r, nil, tc.at*second); got != tc.want {
			t.Errorf("InFlight at %d s: got %d, want %d", tc.at, got, tc.want)
		}
	}
	if got := v.RetryBudget(&r, 100*second); got != 20 {
		t.Errorf("RetryBudget: got %d, want 20", got)
	}
}

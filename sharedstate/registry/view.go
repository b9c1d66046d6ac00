package registry

import (
	"math"
	"time"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/bulkhead"
	"github.com/weir-mesh/weir/policy/compile"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/policy/retry"
	"github.com/weir-mesh/weir/sharedstate"
)

// View computes a cluster's state from its record, for the gauges and the admin API. It changes nothing, and needs no
// more of the policy than an Entry has. One goroutine uses it at a time.
type View struct {
	Policy *policy.Policy

	breaker  *breaker.Config    // nil: off, as the next three
	bulkhead *bulkhead.Config   //
	limiter  *ratelimit.Limiter //
	budget   *retry.Budget      //
	views    *ratelimit.Views   // of limiter
}

// NewView is the view of a cluster with this policy.
func NewView(p *policy.Policy) *View {
	v := &View{Policy: p}
	if b := p.CircuitBreaker; b != nil {
		v.breaker = compile.Breaker(b)
	}
	if b := p.Bulkhead; b != nil {
		v.bulkhead = compile.Bulkhead(b, sharedstate.WorkerExpiry)
	}
	if l := p.RateLimit; l != nil {
		v.limiter = compile.Limiter(l)
		v.views = ratelimit.NewViews(v.limiter)
	}
	if r := p.Retry; r != nil {
		budget := compile.Budget(r)
		v.budget = &budget
	}
	return v
}

// RetryAfter is how long an open breaker waits until its next probe, 0 without a circuit_breaker.
func (v *View) RetryAfter(record *sharedstate.Record, now int64) time.Duration {
	if v.breaker == nil {
		return 0
	}
	return breaker.RetryAfter(&record.Breaker, v.breaker, now)
}

// InFlight is how many requests the bulkhead counts, 0 without a bulkhead.
func (v *View) InFlight(record *sharedstate.Record, shown bulkhead.Shown, now int64) uint32 {
	if v.bulkhead == nil {
		return 0
	}
	return record.Bulkhead.RunningShown(*v.bulkhead, shown, now)
}

// RetryBudget is how many retries the budget admits now, 0 without retries.
func (v *View) RetryBudget(record *sharedstate.Record, now int64) int64 {
	if v.budget == nil {
		return 0
	}
	state := record.Budget
	if !v.budget.Usable(state) {
		state = make([]byte, v.budget.Size())
		v.budget.Reset(state)
	}
	return v.budget.Remaining(state, now)
}

// Limit is the state of a cluster's limit.
type Limit struct {
	PerMinute           float64 // in force, requests a minute; of a token bucket: its refill
	ConfiguredPerMinute float64 // the same, as the policy has it
	Window              time.Duration
	Remaining           int64
	RemainingKnown      bool    // false where each key has its own limit
	SuccessRatio        float64 // of an adaptive limit, 0 to 1
	SuccessRatioKnown   bool
}

// Limit is the zero Limit without a rate_limit. Of a limit of scope mesh it shows what Redis last replied. What was
// used then counts for one window; after it, all of the limit remains.
func (v *View) Limit(record *sharedstate.Record, redis *RedisView, now int64) (l Limit) {
	rules := v.Policy.RateLimit
	if rules == nil {
		return l
	}
	quota, window := v.limiter.Quota()
	l.Window = window
	limit, used := quota, int64(0)
	switch {
	case rules.Scope == policy.ScopeMesh:
		l.RemainingKnown = len(rules.Key) == 0
		if redis.PublishedAt != 0 && l.RemainingKnown {
			limit = min(redis.Limit, quota)
			if now-redis.PublishedAt < int64(window) {
				used = limit - min(redis.Remaining, limit)
			}
			l.SuccessRatio, l.SuccessRatioKnown = redis.SuccessRatio, redis.SuccessRatioKnown
		}
	case len(rules.Key) == 0:
		state := v.limitState(record.Limit, now)
		limit, used = v.limiter.Current(state, now)
		l.RemainingKnown = true
		l.SuccessRatio, l.SuccessRatioKnown = v.limiter.SuccessRatio(state)
	}
	l.Remaining = max(limit-used, 0)
	if rules.Algorithm == policy.TokenBucket {
		l.PerMinute = thousandths(60 * rules.Refill)
		l.ConfiguredPerMinute = l.PerMinute
		return l
	}
	l.PerMinute, l.ConfiguredPerMinute = perMinute(limit, window), perMinute(quota, window)
	return l
}

// limitState is the packed state as this policy's limiter reads it: a fresh one where there is none, an adopted one
// where only other policies have written theirs.
func (v *View) limitState(packed []byte, now int64) []byte {
	v.views.Open(packed, now)
	return v.views.State()
}

// perMinute converts a limit of a window to a minute: 16 in 10 s are 96.
func perMinute(limit int64, window time.Duration) float64 {
	return thousandths(float64(limit) * float64(time.Minute) / float64(window))
}

func thousandths(f float64) float64 { return math.Round(f*1000) / 1000 }

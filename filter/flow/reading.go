package flow

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
	"github.com/weir-mesh/weir/sharedstate/directory"
)

// Reading tells how a cluster stands by its record, for the gauges and for an admin, in whose worker the cluster may have
// no plan. It wants no more of the policy than a directory.Entry has.
type Reading struct {
	Rules   *policy.Policy
	Breaker *breaker.Config // nil: off

	bulkhead *bulkhead.Config
	limiter  *ratelimit.Limiter
	budget   *retry.Budget
	scratch  []byte // for a limit's state
}

// NewReading compiles what of a policy has to do with a cluster's record.
func NewReading(p *policy.Policy) *Reading {
	r := &Reading{Rules: p}
	if b := p.CircuitBreaker; b != nil {
		r.Breaker = compile.Breaker(b)
	}
	if b := p.Bulkhead; b != nil {
		r.bulkhead = compile.Bulkhead(b, holdExpiry)
	}
	if l := p.RateLimit; l != nil {
		r.limiter = compile.Limiter(l)
	}
	if b := p.Retry; b != nil {
		budget := compile.Budget(b)
		r.budget = &budget
	}
	return r
}

// InFlight is how many requests run, of a policy with a bulkhead.
func (r *Reading) InFlight(record *sharedstate.Record, now int64) uint32 {
	if r.bulkhead == nil {
		return 0
	}
	return record.Bulkhead.Running(*r.bulkhead, now)
}

// Budget is how many retries there may be now, of a policy that retries.
func (r *Reading) Budget(record *sharedstate.Record, now int64) int64 {
	if r.budget == nil {
		return 0
	}
	state := record.Budget
	if !r.budget.Usable(state) {
		state = make([]byte, r.budget.Size())
		r.budget.Reset(state)
	}
	return r.budget.Remaining(state, now)
}

// LimitNow is how a cluster's limit stands.
type LimitNow struct {
	PerMinute      float64 // the limit that holds, in requests a minute; of a token bucket, what comes in a minute
	Configured     float64 // the same, as the policy has it
	Window         time.Duration
	Remaining      int64
	RemainingKnown bool    // it is not where each key has its own limit
	Ratio          float64 // adaptive: the success rate
	RatioKnown     bool
}

// Limit is how the limit stands, of a policy that has one. Of one that all proxies share it is what Redis told last; for
// how much is left that is believed for a window: after it nothing of what was used then counts.
func (r *Reading) Limit(record *sharedstate.Record, told *directory.Told, now int64) (n LimitNow) {
	l := r.Rules.RateLimit
	if l == nil {
		return n
	}
	quota, window := r.limiter.Quota()
	n.Window = window
	limit, used := quota, int64(0)
	switch {
	case l.Scope == policy.ScopeMesh:
		n.RemainingKnown = len(l.Key) == 0
		if told.At != 0 && n.RemainingKnown {
			limit = min(told.Limit, quota)
			if now-told.At < int64(window) {
				used = limit - min(told.Remaining, limit)
			}
			n.Ratio, n.RatioKnown = told.Ratio, told.RatioKnown
		}
	case len(l.Key) == 0:
		state := r.state(record.Limit, now)
		limit, used = r.limiter.Current(state, now)
		n.RemainingKnown = true
		n.Ratio, n.RatioKnown = r.limiter.SuccessRatio(state)
	}
	n.Remaining = max(limit-used, 0)
	if l.Algorithm == policy.TokenBucket {
		n.PerMinute = thousandths(60 * l.Refill)
		n.Configured = n.PerMinute
		return n
	}
	n.PerMinute, n.Configured = perMinute(limit, window), perMinute(quota, window)
	return n
}

// state is a limit's state as this policy reads it.
func (r *Reading) state(packed []byte, now int64) []byte {
	if r.limiter.Usable(packed) {
		return packed
	}
	if r.scratch == nil {
		r.scratch = make([]byte, r.limiter.Size())
	}
	if len(packed) == 0 {
		r.limiter.Reset(r.scratch)
	} else {
		r.limiter.Adopt(r.scratch, packed, now)
	}
	return r.scratch
}

// perMinute is a limit of a window as so many requests a minute: 16 in 10 s are 96.
func perMinute(limit int64, window time.Duration) float64 {
	return thousandths(float64(limit) * float64(time.Minute) / float64(window))
}

func thousandths(f float64) float64 { return math.Round(f*1000) / 1000 }

package flow

import (
	"errors"
	"time"

	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/bulkhead"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/policy/retry"
)

// admit asks the breaker, the limit and the bulkhead, in one change of the cluster's record: a request that one of them
// refuses costs nothing with the others. A limit by key has a record of its own, and is asked last; if it refuses, what
// the request had taken goes back.
func (x *Exchange) admit(now int64) (reason fallback.Reason, wait time.Duration) {
	plan := x.plan
	if plan.shares() {
		var err error
		if reason, wait, err = x.admitShared(now); err != nil {
			return x.faulty(err)
		}
	}
	if plan.mesh != nil && reason == fallback.None {
		if reason, wait = plan.mesh.take(x, now); reason != fallback.None {
			x.settleAndRelease(breaker.Neither, now)
		} else {
			x.open = x.open || plan.learns
		}
		return reason, wait
	}
	if plan.keyed == nil || reason != fallback.None {
		return reason, wait
	}
	var conflicts int
	var err error
	x.at, x.limit, conflicts, err = plan.keyed.take(x.request.Key, now)
	plan.observer.Conflicts(conflicts)
	if err != nil {
		return x.faulty(err)
	}
	if !x.limit.Admitted {
		x.settleAndRelease(breaker.Neither, now)
		return fallback.RateLimited, x.limit.RetryAfter
	}
	x.open = x.open || plan.learns
	return fallback.None, 0
}

// faulty lets a request pass whose state can't be had: never in the way.
func (x *Exchange) faulty(err error) (fallback.Reason, time.Duration) {
	x.plan.observer.Fault(err)
	x.limit = ratelimit.Verdict{}
	return fallback.None, 0
}

// errTooManyWorkers is a fault: bulkhead.MaxOwners other workers of this process hold something of one cluster.
var errTooManyWorkers = errors.New("more workers than a bulkhead's record has room for")

// admitShared asks what the cluster's record holds.
func (x *Exchange) admitShared(now int64) (reason fallback.Reason, wait time.Duration, err error) {
	plan, r := x.plan, &x.plan.record
	var verdict breaker.Verdict
	var room error
	conflicts, err := plan.cell.Update(func() (store bool) {
		reason, wait, x.limit, room = fallback.None, 0, ratelimit.Verdict{}, nil
		x.retry.reserved = retry.Reservation{}
		if plan.breaker != nil {
			verdict = r.Breaker.Admit(plan.breaker, now)
			if !verdict.Admitted {
				reason, wait = fallback.CircuitOpen, verdict.RetryAfter
				return false
			}
		}
		if plan.limiter != nil && plan.keyed == nil && plan.mesh == nil {
			plan.adoptLimit(now)
			x.limit = plan.limiter.Take(r.Limit, now, 1)
			if !x.limit.Admitted {
				reason, wait = fallback.RateLimited, x.limit.RetryAfter
				return x.limit.Store
			}
			store = x.limit.Store
		}
		if plan.bulkhead != nil {
			switch r.Bulkhead.Acquire(*plan.bulkhead, plan.worker.id, now) {
			case bulkhead.Full:
				reason = fallback.BulkheadFull
				return false
			case bulkhead.TooManyOwners:
				room = errTooManyWorkers
				return false
			}
			store = true
		}
		if plan.breaker != nil && r.Breaker.Enter(&verdict, now) {
			store = true
		}
		if plan.retries != nil && !plan.decidesLater() && !x.Replaying() { // a replay is no request of the budget's
			x.reserve(plan.breaker != nil && verdict.Ticket.Slot >= 0, now)
			store = true
		}
		return store
	})
	plan.observer.Conflicts(conflicts)
	if err = errors.Join(err, room); err != nil || reason != fallback.None {
		x.retry.reserved = retry.Reservation{}
		return reason, wait, err
	}
	if plan.bulkhead != nil {
		x.holds = true
		plan.worker.took(plan.cluster)
	}
	if plan.breaker != nil {
		x.ticket, x.open = verdict.Ticket, true
		if verdict.HalfOpened {
			plan.observer.Transition(breaker.Open, breaker.HalfOpen, verdict.Cause().String())
		}
	}
	x.open = x.open || plan.learns || x.retry.reserved.Granted > 0
	return fallback.None, 0, nil
}

// adoptLimit makes the record's limit one of this plan's: what a policy before it counted is carried over.
func (p *Plan) adoptLimit(now int64) {
	r := &p.record
	if p.limiter.Usable(r.Limit) {
		return
	}
	old := r.Limit
	if p.scratch == nil {
		p.scratch = make([]byte, p.limiter.Size())
	}
	r.Limit = p.scratch
	if len(old) == 0 {
		p.limiter.Reset(r.Limit)
		return
	}
	p.limiter.Adopt(r.Limit, old, now)
}

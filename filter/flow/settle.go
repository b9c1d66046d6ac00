package flow

import (
	"time"

	"github.com/weir-mesh/weir/policy/breaker"
)

// settle records the outcome of this exchange, once.
func (x *Exchange) settle(outcome breaker.Outcome, now int64) { x.finish(outcome, false, now) }

// settleAndRelease records the outcome and gives the place in the bulkhead back, each once, in one change.
func (x *Exchange) settleAndRelease(outcome breaker.Outcome, now int64) { x.finish(outcome, true, now) }

// release gives the place in the bulkhead back, once.
func (x *Exchange) release(now int64) { x.finish(breaker.Neither, true, now) }

func (x *Exchange) finish(outcome breaker.Outcome, release bool, now int64) {
	plan := x.plan
	settle := x.open
	release = release && x.holds
	if settle {
		x.open = false
	}
	if release {
		x.holds = false
		plan.worker.gave(plan.cluster)
	}
	known := outcome != breaker.Neither
	toBreaker := settle && plan.breaker != nil && (known || x.ticket.Slot >= 0)
	toLimit := settle && plan.learns && known
	if toLimit && plan.mesh != nil {
		plan.mesh.report(x, outcome == breaker.Success, now)
		toLimit = false
	}
	toBudget := settle && x.retry.reserved.Granted > 0
	if release || toBreaker || toBudget || (toLimit && plan.keyed == nil) {
		x.finishShared(outcome, release, toBreaker, toLimit && plan.keyed == nil, toBudget, now)
	}
	if toLimit && plan.keyed != nil {
		conflicts, err := plan.keyed.outcome(x.at, outcome == breaker.Success, now)
		plan.observer.Conflicts(conflicts)
		if err != nil {
			plan.observer.Fault(err)
		}
	}
}

// finishShared changes the cluster's record.
func (x *Exchange) finishShared(outcome breaker.Outcome, release, toBreaker, toLimit, toBudget bool, now int64) {
	plan, r := x.plan, &x.plan.record
	call := breaker.Call{Outcome: outcome}
	if plan.breaker != nil {
		call = plan.breaker.Call(outcome, x.duration(now))
	}
	var from, to breaker.Status
	var cause breaker.Cause
	conflicts, err := plan.cell.Update(func() (store bool) {
		from, cause = r.Breaker.Status, breaker.NoTransition
		if toBreaker {
			store, cause = r.Breaker.Settle(plan.breaker, x.ticket, call, now)
		}
		to = r.Breaker.Status
		if release && r.Bulkhead.Release(plan.worker.id, now) {
			store = true
		}
		if toLimit && plan.limiter.Usable(r.Limit) && plan.limiter.Outcome(r.Limit, outcome == breaker.Success, now) {
			store = true
		}
		if toBudget && plan.retries.budget.Usable(r.Budget) &&
			plan.retries.budget.Settle(r.Budget, now, x.retry.reserved, x.retry.made) {
			store = true
		}
		return store
	})
	plan.observer.Conflicts(conflicts)
	if err != nil {
		plan.observer.Fault(err)
		return
	}
	if cause != breaker.NoTransition {
		plan.observer.Transition(from, to, cause.String()+", "+x.ending.cause(&plan.failures))
	}
}

// duration is how long the call took: to the answer's headers, or to its end without one. (How fast a client reads a body
// is not upstream's doing.)
func (x *Exchange) duration(now int64) time.Duration {
	if x.took > 0 {
		return time.Duration(x.took)
	}
	return time.Duration(now - x.begun)
}

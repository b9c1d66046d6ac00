package flow

import (
	"github.com/weir-mesh/weir/policy/retry"
)

// retrying is what an exchange knows of its tries.
type retrying struct {
	listed   bool              // another try is allowed, as far as the request goes
	probe    bool              // the breaker is half-open: one try is all
	none     bool              // the budget, or the time, had nothing left for it
	reserved retry.Reservation // what the router was told that it may make
	made     int               // tries after the first
}

// reserve counts a request that goes upstream in its cluster's record, and takes from the budget what the router may
// make of further tries.
func (x *Exchange) reserve(probe bool, now int64) {
	rt, record := x.plan.retries, &x.plan.record
	record.Budget = rt.state(record.Budget)
	rt.budget.Request(record.Budget, now)
	x.retry.probe, x.retry.none, x.retry.reserved = probe, false, retry.Reservation{}
	if rt.replays || !x.retry.listed || probe || rt.most == 0 {
		return
	}
	x.retry.reserved = rt.budget.Reserve(record.Budget, now, rt.most)
	x.retry.none = x.retry.reserved.Granted == 0
}

// reserveAlone does it in a change of its own, for a request that something else than the record decided about.
func (x *Exchange) reserveAlone(now int64) {
	conflicts, err := x.plan.cell.Update(func() bool {
		x.reserve(x.ticket.Slot >= 0, now)
		return true
	})
	x.plan.observer.Conflicts(conflicts)
	if err != nil {
		x.retry.reserved = retry.Reservation{}
		x.plan.observer.Fault(err)
	}
	x.open = x.open || x.retry.reserved.Granted > 0
}

// forRouter is what the router is told about a request that goes on.
func (x *Exchange) forRouter() []Header {
	if x.request.Upgrade {
		return nil
	}
	if rt := x.plan.retries; rt != nil {
		return rt.toRouter[x.retry.reserved.Granted]
	}
	return x.plan.forRouter
}

// CountsTries says whether the exchange wants to know how often the router has tried.
func (x *Exchange) CountsTries() bool { return x.open && x.retry.reserved.Granted > 0 }

// tried takes the number of tries that the router made, 0 where nobody knows it.
func (x *Exchange) tried(attempts int) {
	made := min(max(attempts-1, 0), x.retry.reserved.Granted)
	for x.retry.made < made {
		x.retry.made++
		x.plan.observer.Retried(Retry{Number: x.retry.made, Of: x.plan.retries.most, ByRouter: true, Cluster: x.plan.cluster})
	}
}

// attempt is what a try came to, in the words of package retry.
func (e *ending) attempt() retry.Outcome {
	o := retry.Outcome{Status: e.status, GRPC: e.grpc}
	switch e.event {
	case eventAnswer:
		o.Event = retry.Answered
	case eventReset:
		o.Event = retry.Reset
	case eventConnectFailure:
		o.Event = retry.ConnectFailure
	case eventTimeout:
		o.Event = retry.Timeout
	}
	return o
}

// ranOut says that the last try failed as well, and that there was none left: it was the last of those that the policy
// has, or the budget is spent.
func (x *Exchange) ranOut() bool {
	rt := x.plan.retries
	return rt != nil && x.retry.listed && !x.retry.probe && (x.retry.made > 0 || x.retry.none) &&
		rt.conditions.Retryable(x.ending.attempt())
}

// exhausted marks an answer after which nothing more was tried.
var exhausted = Header{HeaderError, "RetryExhausted"}

// marked adds what the answer says about retries, where it says something.
func (x *Exchange) marked(set []Header) []Header {
	if !x.ranOut() {
		return set
	}
	return append(set[:len(set):len(set)], exhausted)
}

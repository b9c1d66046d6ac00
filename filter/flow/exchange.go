package flow

import (
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// Request is what Begin wants to know of a request.
type Request struct {
	GRPC    bool // content-type application/grpc…
	Upgrade bool // WebSocket and the like, or CONNECT
}

// Answer is what Answered wants to know of the answer whose headers have come.
type Answer struct {
	Status  int
	Details string // response.code_details
	GRPC    int    // grpc-status where it stands in the headers, else -1
	Ended   bool   // no body follows
}

// Exchange is one request on its way. The zero Exchange knows no policy and lets everything pass.
type Exchange struct {
	plan    *Plan
	request Request
	begun   int64
	limit   ratelimit.Verdict
	ticket  breaker.Ticket
	open    bool // the ticket is to be settled
	replied bool // the answer is ours: what comes back through the callbacks is not upstream's
	passing bool // upstream's answer goes to the client
	ending  ending
}

// Begin decides about a request whose headers have come, at time now (nanoseconds, monotonic).
func (x *Exchange) Begin(plan *Plan, request Request, now int64) Step {
	x.plan, x.request, x.begun = plan, request, now
	x.ending = ending{grpc: noGRPC}
	reason, wait := x.admit(now)
	plan.observer.Decided(reason)
	if reason != fallback.None {
		return x.refuse(reason, wait)
	}
	if request.Upgrade {
		return Step{}
	}
	return Step{Set: plan.forRouter}
}

// admit asks the breaker and the limit, in one change of the cluster's record: a request that one of them refuses
// costs nothing with the other.
func (x *Exchange) admit(now int64) (reason fallback.Reason, wait int64) {
	plan := x.plan
	if plan.breaker == nil && plan.bucket == nil {
		return fallback.None, 0
	}
	var verdict breaker.Verdict
	conflicts, err := plan.cell.Update(func(r *sharedstate.Record) (store bool) {
		reason, verdict, x.limit = fallback.None, breaker.Verdict{}, ratelimit.Verdict{}
		state := r.Breaker
		if plan.breaker != nil {
			state, verdict = breaker.Admit(state, plan.breaker, now)
			if !verdict.Admitted {
				reason, wait = fallback.CircuitOpen, int64(verdict.RetryAfter)
				return false
			}
			store = verdict.HalfOpened || verdict.Ticket.Slot >= 0
		}
		if plan.bucket != nil {
			r.Bucket, x.limit = plan.bucket.Take(r.Bucket, now, 1)
			if !x.limit.Admitted {
				reason, wait = fallback.RateLimited, int64(x.limit.RetryAfter)
				return x.limit.Store
			}
			store = true
		}
		r.Breaker = state
		return store
	})
	plan.observer.Conflicts(conflicts)
	if err != nil {
		// Never in the way: without its record the request passes, and nothing of it will be settled.
		plan.observer.Fault(err)
		x.limit = ratelimit.Verdict{}
		return fallback.None, 0
	}
	if reason == fallback.None && plan.breaker != nil {
		x.ticket, x.open = verdict.Ticket, true
		if verdict.HalfOpened {
			plan.observer.Transition(breaker.Open, breaker.HalfOpen, "recovery timeout over")
		}
	}
	return reason, wait
}

// refuse answers a request that does not go on.
func (x *Exchange) refuse(reason fallback.Reason, wait int64) Step {
	x.replied = true
	source, tried := x.choose(reason)
	x.plan.observer.Answered(source)
	return Step{Kind: SendReply, Reply: x.plan.answers.reply(x, reason, source, tried, wait)}
}

// choose asks the fallback chain. A gRPC client can read neither JSON nor problem details: it gets a gRPC status.
func (x *Exchange) choose(reason fallback.Reason) (source fallback.Source, tried bool) {
	if x.plan.fallback == nil {
		return fallback.FromError, false
	}
	source, tried = fallback.Choose(x.plan.fallback, reason)
	if x.request.GRPC {
		source = fallback.FromError
	}
	return source, tried
}

// Answer takes the headers of the answer, whoever gave it, at time now.
func (x *Exchange) Answer(a Answer, now int64) Step {
	if !x.WantsAnswer() {
		return Step{}
	}
	plan := x.plan
	x.ending = ending{event: classify(a.Details), status: a.Status, grpc: a.GRPC}
	x.ending.late = plan.timeout > 0 && now-x.begun > plan.timeout
	switch {
	case x.ending.event == eventLocal, x.ending.event == eventNone:
		// Another filter, a direct response: not ours to touch, and upstream had no part in it.
		x.settle(breaker.Neither, now)
		x.plan = nil
		return Step{}
	case x.ending.outcome(&plan.failures) == breaker.Failure, x.ending.event != eventAnswer:
		x.settle(x.ending.outcome(&plan.failures), now)
	case a.Ended, x.request.Upgrade && a.Status == 101:
		// An upgraded connection may last for days: that upstream took it is the success.
		x.settle(breaker.Success, now)
	}
	set := plan.fromUpstream
	if x.ending.wantsFallback(&plan.failures) {
		source, _ := x.choose(fallback.UpstreamFailure)
		if source != fallback.FromError {
			x.replied = true
			plan.observer.Answered(source)
			return Step{Kind: SendReply, Reply: plan.answers.reply(x, fallback.UpstreamFailure, source, true, 0)}
		}
		if x.ending.event != eventAnswer { // Envoy's words, not upstream's
			set = plan.answers.failedLocally
			plan.observer.Answered(fallback.FromError)
		} else {
			set = plan.answers.failedUpstream
			plan.observer.Answered(fallback.FromUpstream)
		}
	} else {
		plan.observer.Answered(fallback.FromUpstream)
	}
	x.passing = true
	if plan.bucket != nil && plan.limitHeaders == policy.HeadersAll && x.limit.Admitted {
		set = append(set[:len(set):len(set)], plan.answers.limitHeaders(&x.limit)...)
	}
	return Step{Set: set}
}

// End says that upstream's answer has ended, at time now. grpc is the grpc-status of its trailers, -1 where there is
// none.
func (x *Exchange) End(grpc int, now int64) {
	if x.plan == nil || !x.open {
		return
	}
	if grpc != noGRPC {
		x.ending.grpc = grpc
	}
	x.settle(x.ending.outcome(&x.plan.failures), now)
}

// Done says that the stream is gone, with its last response.code_details. Whatever is open is settled: an answer that
// broke off half way by what broke it, a client that left as Neither.
func (x *Exchange) Done(details string, now int64) {
	if x.plan == nil || !x.open {
		return
	}
	x.ending.event = classify(details)
	if x.ending.event == eventAnswer { // it never ended: the client left
		x.ending.event = eventNone
	}
	x.settle(x.ending.outcome(&x.plan.failures), now)
}

// WantsAnswer says whether Answer has a use for the headers that come back.
func (x *Exchange) WantsAnswer() bool { return x.plan != nil && !x.replied && !x.passing }

// Open says whether something of this exchange is still to be settled, so that Done is worth the host calls.
func (x *Exchange) Open() bool { return x.plan != nil && x.open }

// Abandon lets the rest of a request pass, after a fault of the filter. A probe's place comes back by its expiry.
func (x *Exchange) Abandon() { *x = Exchange{} }

// settle records the outcome of this exchange's ticket, once.
func (x *Exchange) settle(outcome breaker.Outcome, now int64) {
	if !x.open {
		return
	}
	x.open = false
	if outcome == breaker.Neither && x.ticket.Slot < 0 {
		return
	}
	plan := x.plan
	var from, to breaker.Status
	var transition bool
	conflicts, err := plan.cell.Update(func(r *sharedstate.Record) (store bool) {
		from = r.Breaker.Status
		r.Breaker, store, transition = breaker.Settle(r.Breaker, plan.breaker, x.ticket, outcome, now)
		to = r.Breaker.Status
		return store
	})
	plan.observer.Conflicts(conflicts)
	if err != nil {
		plan.observer.Fault(err)
		return
	}
	if transition {
		plan.observer.Transition(from, to, x.ending.cause(&plan.failures))
	}
}

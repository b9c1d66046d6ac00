package flow

import (
	"time"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// Request is what Begin wants to know of a request.
type Request struct {
	GRPC    bool                    // content-type application/grpc…
	Upgrade bool                    // WebSocket and the like, or CONNECT
	Method  string                  // as long as Begin runs
	Long    bool                    // its body is TooLongToRetry
	Retry   bool                    // its method is one that Plan.Retries
	Moved   bool                    // it was sent here by another cluster's failover
	Key     sharedstate.Fingerprint // for a plan that is Keyed
	Cache   CacheKey                // for a plan that Caches
	Stream  uint32                  // what Bridge.Resume knows it by, for a plan that may Pause
}

// Answer is what Answer wants to know of the answer whose headers have come.
type Answer struct {
	Status     int
	Details    string        // response.code_details
	GRPC       int           // grpc-status where it stands in the headers, else -1
	Ended      bool          // no body follows
	Whole      bool          // the request, whose copy Records asked for, can be sent again
	RetryAfter time.Duration // that upstream asked for, 0: it did not; where Records
	Tries      int           // of the router, 0: unknown; where CountsTries
}

// Exchange is one request on its way. The zero Exchange knows no policy and lets everything pass.
type Exchange struct {
	plan    *Plan
	request Request
	begun   int64
	took    int64 // nanoseconds from the request to the answer's headers; 0 before that
	limit   ratelimit.Verdict
	at      place // where the limit of the request's key is kept
	ticket  breaker.Ticket
	shadow  fallback.Reason // what a policy in shadow would have refused for
	open    bool            // the outcome is to be settled
	holds   bool            // a place of the bulkhead
	replied bool            // the answer is ours: what comes back through the callbacks is not upstream's
	passing bool            // upstream's answer goes to the client
	keeps   bool            // and may be kept for later
	ending  ending
	copy    *answerCopy // of upstream's answer, while it streams
	queue   *queue      // in which it waits for Redis
	retry   retrying
	replay  replaying
}

// Begin decides about a request whose headers have come, at time now (nanoseconds, monotonic).
func (x *Exchange) Begin(plan *Plan, request Request, now int64) Step {
	x.plan, x.request, x.begun = plan, request, now
	x.request.Method = "" // it is the caller's
	x.ending = ending{grpc: noGRPC}
	x.ticket.Slot = -1
	x.retry.listed = request.Retry && !request.Upgrade && !request.Long
	reason, wait := x.admit(now)
	if x.queue != nil {
		if plan.shadow { // it goes on, and what would have become of it is counted when that is known
			return Step{}
		}
		return Step{Kind: Pause}
	}
	return x.decided(reason, wait, now)
}

// decided goes on with a request that is decided about.
func (x *Exchange) decided(reason fallback.Reason, wait time.Duration, now int64) Step {
	plan := x.plan
	if reason == fallback.CircuitOpen {
		if step, ok := x.failOver(now); ok {
			return step
		}
	}
	plan.observer.Decided(reason, plan.shadow)
	plan.begun++
	if plan.observer.Explains() {
		plan.observer.Explain(x.explain(reason, wait))
	}
	switch {
	case reason == fallback.None:
		if plan.retries != nil && plan.decidesLater() {
			x.reserveAlone(now)
		}
		return Step{Set: x.forRouter()}
	case plan.shadow:
		x.shadow = reason
		return Step{}
	default:
		return x.refuse(reason, wait, now)
	}
}

// refuse answers a request that does not go on.
func (x *Exchange) refuse(reason fallback.Reason, wait time.Duration, now int64) Step {
	choice := x.choose(reason, now)
	return x.reply(reason, &choice, wait)
}

// reply gives the answer that was chosen. There is one for each request: what comes back after it is our own.
func (x *Exchange) reply(reason fallback.Reason, c *choice, wait time.Duration) Step {
	x.replied = true
	x.plan.observer.Answered(c.source, reason)
	if c.source == fallback.FromCache || c.source == fallback.FromStaleCache {
		return Step{Kind: SendReply, Reply: x.plan.answers.cached(x, reason, &c.kept)}
	}
	return Step{Kind: SendReply, Reply: x.plan.answers.reply(x, reason, c.source, c.tried, wait)}
}

// choice is which step of the fallback chain answers.
type choice struct {
	source fallback.Source // FromError: none does
	tried  bool            // the chain was asked
	kept   kept            // for the cache's sources
}

// choose asks the fallback chain. A gRPC client can read neither JSON nor problem details: it gets a gRPC status.
func (x *Exchange) choose(reason fallback.Reason, now int64) (c choice) {
	f := x.plan.fallback
	if f == nil {
		return choice{source: fallback.FromError}
	}
	found := fallback.FromError
	if f.WantsCache(reason) && x.request.Cache.Lookup {
		c.kept, found = x.find(now)
	}
	c.source, c.tried = fallback.Choose(f, reason, found)
	if x.request.GRPC {
		c.source = fallback.FromError
	}
	return c
}

// Answer takes the headers of the answer, whoever gave it, at time now.
func (x *Exchange) Answer(a Answer, now int64) Step {
	if !x.WantsAnswer() {
		return Step{}
	}
	plan := x.plan
	x.took = now - x.begun
	x.ending = ending{event: classify(a.Details), status: a.Status, grpc: a.GRPC}
	plan.hosts.heard(x.ending.event, a.Details)
	x.ending.late = plan.timeout > 0 && x.took > plan.timeout
	x.tried(a.Tries)
	outcome := x.ending.outcome(&plan.failures)
	if x.again(a.Whole, a.RetryAfter, now) {
		x.settleAndRelease(outcome, now)
		return Step{Kind: Wait}
	}
	switch {
	case x.ending.event == eventLocal, x.ending.event == eventNone:
		// Another filter, a direct response: not ours to touch, and upstream had no part in it.
		x.settle(breaker.Neither, now)
		x.passing = true
		return Step{}
	case outcome == breaker.Failure, x.ending.event != eventAnswer:
		x.settle(outcome, now)
	case a.Ended:
		x.settleAndRelease(breaker.Success, now)
	case x.request.Upgrade && a.Status == 101:
		// An upgraded connection may last for days: that upstream took it is the success. It counts in the bulkhead
		// until it is done.
		x.settle(breaker.Success, now)
	}
	if x.ranOut() {
		plan.observer.Exhausted()
	}
	if x.ending.wantsFallback(&plan.failures) {
		return x.failed(now)
	}
	x.passing = true
	x.keeps = x.request.Cache.Store && !plan.shadow && a.Status/100 == 2 && plan.cached.due(&x.request.Cache, now)
	plan.observer.Answered(fallback.FromUpstream, fallback.None)
	set := plan.fromUpstream
	if x.shadow != fallback.None {
		set = plan.answers.shadow[x.shadow]
	}
	return Step{Set: x.withLimit(x.marked(set))}
}

// failed goes on with an answer that is a failure: a fallback takes its place, or it passes as it is, marked.
func (x *Exchange) failed(now int64) Step {
	plan := x.plan
	if !plan.shadow {
		if choice := x.choose(fallback.UpstreamFailure, now); choice.source != fallback.FromError {
			x.release(now)
			return x.reply(fallback.UpstreamFailure, &choice, 0)
		}
	}
	x.passing = true
	source, set := fallback.FromUpstream, plan.answers.failedUpstream
	if x.ending.event != eventAnswer { // Envoy's words, not upstream's
		source, set = fallback.FromError, plan.answers.failedLocally
	}
	plan.observer.Answered(source, fallback.UpstreamFailure)
	return Step{Set: x.withLimit(x.marked(set))}
}

// withLimit adds the RateLimit headers where the policy wants them on each answer.
func (x *Exchange) withLimit(set []Header) []Header {
	plan := x.plan
	if plan.limitHeaders != policy.HeadersAll || !x.limit.Admitted || plan.shadow {
		return set
	}
	return append(set[:len(set):len(set)], plan.answers.limitHeaders(&x.limit)...)
}

// WantsAnswer says whether Answer has a use for the headers that come back.
func (x *Exchange) WantsAnswer() bool {
	return x.plan != nil && !x.replied && !x.passing && !x.Replaying()
}

// End says that upstream's answer has ended, at time now. grpc is the grpc-status of its trailers, -1 where there is
// none.
func (x *Exchange) End(grpc int, now int64) {
	if !x.Open() {
		return
	}
	if grpc != noGRPC {
		x.ending.grpc = grpc
	}
	x.keep(now)
	x.settleAndRelease(x.ending.outcome(&x.plan.failures), now)
}

// Done says that the stream is gone, with its last response.code_details and the router's number of tries, where
// CountsTries. Whatever is open is settled: an answer that broke off half way by what broke it, a client that left as
// Neither.
func (x *Exchange) Done(details string, tries int, now int64) {
	if !x.Open() {
		return
	}
	x.tried(tries)
	x.stopWaiting()
	x.Discard()
	x.ending.event = classify(details)
	if x.ending.event == eventAnswer { // it never ended: the client left
		x.ending.event = eventNone
	}
	x.settleAndRelease(x.ending.outcome(&x.plan.failures), now)
}

// Open says whether something of this exchange is still to be settled or given back.
func (x *Exchange) Open() bool {
	return x.plan != nil && (x.open || x.holds || x.copy != nil || x.queue != nil)
}

// Abandon lets the rest of a request pass, after a fault of the filter or where it went to another cluster than the one
// that was decided about. Its outcome counts nowhere; its place in the bulkhead is given back.
func (x *Exchange) Abandon(now int64) {
	x.stopWaiting()
	x.Discard()
	if x.Open() {
		x.settleAndRelease(breaker.Neither, now)
	}
	*x = Exchange{}
}

// Forget drops an exchange in the middle of which the filter failed. Nothing is asked of the store: a probe's place comes
// back by its expiry, a share of the bulkhead with the worker's next beat.
func (x *Exchange) Forget() {
	x.stopWaiting()
	x.Discard()
	if x.holds {
		x.plan.worker.gave(x.plan.cluster)
	}
	*x = Exchange{}
}

package request

import (
	"time"

	"github.com/weir-mesh/weir/filter/internal/localreply"
	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
)

// admit asks the stages about the first attempt.
func (r *Request) admit(now int64) Step {
	r.begin(now)
	r.ending = outcome.Ending{GRPC: noGRPC}
	r.retry.allowed = r.in.Retry && !r.in.Upgrade && !r.in.Long
	r.attempt.Waiter, r.attempt.Retry, r.attempt.Limits[0].Slot.Key = r, r.retry.allowed, r.in.Key
	v := r.cluster.chain.Admit(&r.attempt, now)
	if !v.Pending {
		return r.decide(v, now)
	}
	r.keyText, r.keyRead = r.cluster.textOfKey(), true // the next request's key takes its place
	if r.cluster.shadow {                              // the request passes, and is counted when the stage has decided
		r.state = Sent
		return Step{}
	}
	r.state = Waiting
	return Step{Kind: PauseRequest}
}

// begin starts the attempt's clock.
func (r *Request) begin(now int64) {
	r.sent = now
	r.progress = progress{took: stage.Untimed}
	if !r.in.Body {
		r.progress.whole = now
	}
}

// admitted continues with a request that waited for Redis. The time that it waited does not count as upstream's.
func (r *Request) admitted(v stage.Verdict, now int64) Step {
	if v.Pending {
		return Step{Kind: PauseRequest}
	}
	r.begin(now)
	return r.decide(v, now)
}

// decidedInShadow counts the decision about a request that did not wait for it.
func (r *Request) decidedInShadow(v stage.Verdict, now int64) {
	v = r.cluster.chain.Resume(&r.attempt, v, now)
	if v.Pending {
		return
	}
	state := r.state
	r.decide(v, now)
	r.state = state
	if r.ended {
		r.settle(stage.Settlement{Over: true}, now)
		r.state = Done
	}
}

// decide carries out the stages' verdict.
func (r *Request) decide(v stage.Verdict, now int64) Step {
	c := r.cluster
	if v.Reason == fallback.CircuitOpen {
		if step, ok := r.failOver(now); ok {
			return step
		}
	}
	r.retry.probe = r.attempt.Held&stage.HeldProbe != 0
	c.observer.Decided(v.Reason, c.shadow)
	c.begun++
	r.decided, r.decision = true, v.Reason
	if v.Reason == fallback.RateLimited && c.showsKeys() {
		c.observer.RefusedKey(c.hashOfKey(r.in.Key), r.textOfKey(), now)
	}
	if c.observer.Explains() {
		c.observer.Explain(r.explain(v))
	}
	switch {
	case v.Reason == fallback.None:
		r.state = Sent
		return Step{Set: r.forRouter()}
	case c.shadow:
		r.state = Sent
		r.shadow = v.Reason
		return Step{}
	default:
		return r.reply(v.Reason, v.Wait, r.findFallback(v.Reason, now))
	}
}

// forRouter is the headers for the router on an admitted request. It is not told to end an answer that is meant to flow.
func (r *Request) forRouter() []header.Pair {
	c := r.cluster
	flows := r.in.GRPC || r.in.Events
	switch {
	case r.in.Upgrade:
		return nil
	case c.retries != nil:
		return c.retries.ForRouter(r.attempt.Retries.Reserved.Granted, flows)
	case flows:
		return nil
	default:
		return c.forRouter
	}
}

// reply makes a local reply. A request gets at most one: response headers that come after it are its own.
func (r *Request) reply(reason fallback.Reason, wait time.Duration, choice fallbackChoice) Step {
	r.state = Replied
	c := r.cluster
	c.observer.Responded(choice.source, reason)
	request := localreply.Request{
		Reason: reason, GRPC: r.in.GRPC, Protocol: r.in.Protocol, Wait: wait, Limit: &r.attempt.Limits[0].Verdict, ErrorOnly: r.in.ErrorOnly,
	}
	if reason == fallback.UpstreamFailure {
		request.Forwarded = r.ending.Status
		if r.ending.Event == outcome.Answered {
			request.Upstream = r.ending.Status
		}
	}
	if choice.source == fallback.FromCache || choice.source == fallback.FromStaleCache {
		return Step{Kind: SendReply, Reply: c.replies.Kept(&request, &choice.kept, r.in.Cache.IfNoneMatch)}
	}
	request.Default = choice.data
	return Step{Kind: SendReply, Reply: c.replies.Make(&request, choice.source, choice.consulted)}
}

package request

import (
	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/filter/internal/replay"
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
)

// responded handles the headers of the first attempt's response.
func (r *Request) responded(resp *Response, now int64) Step {
	c := r.cluster
	r.took = now - r.sent
	took := r.upstreamTime(resp.Events, now)
	kind := r.kindOf(resp.Details)
	r.ending = outcome.Ending{
		Event: outcome.Of(kind, r.phase(kind, now)), Status: resp.Status, GRPC: resp.GRPC,
		Late: c.late(took), Unfinished: r.progress.whole == 0, Inner: resp.Inner,
	}
	r.ending.Hurried = r.hurried(kind, &r.ending, now)
	r.progress.answered, r.progress.took, r.progress.upgraded = now, took, r.upgrades(resp.Status)
	c.hosts.observe(r.ending.Event, resp.Details)
	r.countRouterRetries(resp.Attempts)
	result := r.ending.Outcome(&c.failures)
	if resp.Replayable && r.retryLater(resp.RetryAfter, now) {
		r.settle(r.settlement(result, true), now)
		return Step{Kind: HoldResponse}
	}
	if why := r.unsent(resp); why != replay.None {
		c.observer.Uncarried(why)
	}
	r.state = Responding
	switch {
	case r.ending.Event == outcome.Local, r.ending.Event == outcome.None:
		// Another filter's response, or a direct one: it passes unchanged, and says nothing about upstream.
		r.settle(r.settlement(breaker.Neither, false), now)
		return Step{}
	case result == breaker.Failure, r.ending.Event != outcome.Answered, r.ending.Hurried && r.ending.WantsFallback(&c.failures):
		r.settle(r.settlement(result, false), now)
	case resp.Ended:
		r.settle(r.settlement(result, true), now)
	case result == breaker.Success && r.isStream(resp): // it holds its place in the bulkhead until it is over
		r.accept(now)
	}
	if r.ranOut() {
		c.observer.Exhausted()
	}
	if r.ending.WantsFallback(&c.failures) {
		return r.failed(resp, now)
	}
	r.consider(resp.Status, resp.Inner)
	c.observer.Responded(fallback.FromUpstream, fallback.None)
	set := onResponse
	if r.shadow != fallback.None {
		set = c.onShadow[r.shadow]
	}
	if resp.Inner {
		return Step{Set: r.withLimit(nil)}
	}
	return Step{Set: r.withLimit(r.withExhausted(set))}
}

// failed goes on with a response that is a failure: a fallback takes its place, or it passes with headers that say so.
// Degraded mode passes on how long upstream asked to wait.
func (r *Request) failed(resp *Response, now int64) Step {
	c := r.cluster
	if !c.shadow {
		choice := r.findFallback(fallback.UpstreamFailure, now)
		// Envoy's own response to a body that is too long for its retry is 507, which blames the client.
		if choice.source != fallback.FromError || resp.Details == outcome.DetailsUnkept {
			r.settle(stage.Settlement{Over: true}, now)
			return r.reply(fallback.UpstreamFailure, resp.RetryAfter, choice)
		}
	}
	source, set := fallback.FromUpstream, c.onFailure
	if r.ending.Event != outcome.Answered { // the response is Envoy's, not upstream's
		source, set = fallback.FromError, c.onLocalError
	}
	c.observer.Responded(source, fallback.UpstreamFailure)
	if resp.Inner {
		return Step{Set: r.withLimit(nil)}
	}
	return Step{Set: r.withLimit(r.withExhausted(set))}
}

// withLimit adds the RateLimit headers if the policy has them on each response.
func (r *Request) withLimit(set []header.Pair) []header.Pair {
	if r.cluster.shadow {
		return set
	}
	return r.cluster.replies.OnResponse(set, &r.attempt.Limits[0].Verdict)
}

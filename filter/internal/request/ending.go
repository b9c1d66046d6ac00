package request

import (
	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
)

// end settles an attempt whose response has ended.
func (r *Request) end(e *event) {
	if e.grpc != noGRPC {
		r.ending.GRPC = e.grpc
		r.ending.Hurried = r.hurried(outcome.ByUpstream, &r.ending, e.now)
	}
	r.keep(e.now)
	over := !r.attempt.Pending() // else decidedInShadow settles it as over
	r.settle(r.settlement(r.ending.Outcome(&r.cluster.failures), over), e.now)
	r.ended = true
	if over {
		r.state = Done
	}
}

// gone settles what is not settled yet when the stream has ended.
func (r *Request) gone(e *event) {
	if r.ended {
		return // only a stage in shadow still waits: decidedInShadow counts the request when Redis replies
	}
	r.countRouterRetries(e.attempts)
	r.dropCapture(fallback.CutOff)
	kind := r.kindOf(e.details)
	if r.ending.Event = outcome.Of(kind, r.phase(kind, e.now)); kind == outcome.ByUpstream { // the response never ended
		r.ending.Event = outcome.None
	}
	r.ending.Hurried = r.hurried(kind, &r.ending, e.now)
	if r.progress.answered == 0 {
		r.progress.took = r.upstreamTime(false, e.now)
	}
	result := r.ending.Outcome(&r.cluster.failures)
	if result == breaker.Neither && r.answeredWell(e.now) {
		result = breaker.Success
	}
	r.settle(r.settlement(result, true), e.now)
	r.state = Done
}

// kindOf is what ended the request. An HTTP/2 server refuses a malformed request by the stream error PROTOCOL_ERROR (RFC
// 9113, section 8.1.1), and Envoy an upgrade that upstream's connection does not offer (RFC 8441): the client's, not
// upstream's. For a plain request it is upstream's, which answers with what is no HTTP.
func (r *Request) kindOf(details string) outcome.Kind {
	kind := outcome.KindOf(details)
	if kind == outcome.Broken && (r.in.Upgrade || r.in.Malformed) && outcome.IsProtocolError(details) {
		return outcome.ByClient
	}
	return kind
}

// settlement is one with an outcome that is known now. Took is upstream's time to the response's headers, or to the end if
// none came: how fast a client sends a request and reads a body says nothing about upstream.
func (r *Request) settlement(result breaker.Outcome, over bool) stage.Settlement {
	return stage.Settlement{Known: true, Outcome: result, Ending: &r.ending, Took: r.progress.took, Over: over}
}

// settle settles the attempt with the stages.
func (r *Request) settle(s stage.Settlement, now int64) {
	r.cluster.chain.Settle(&r.attempt, s, now)
}

package request

import (
	"time"

	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/breaker"
)

// end takes the end of the response.
func (r *Request) end(e *event) {
	if e.grpc != noGRPC {
		r.ending.GRPC = e.grpc
	}
	r.keep(e.now)
	over := !r.attempt.Pending() // else decidedInShadow ends it
	r.settle(r.settlement(r.ending.Outcome(&r.cluster.failures), over), e.now)
	r.ended = true
	if over {
		r.state = Done
	}
}

// gone settles what is open when the stream is gone.
func (r *Request) gone(e *event) {
	if r.ended {
		return // nothing but a stage in shadow is open: decidedInShadow counts the request once Redis replies
	}
	r.countRouterRetries(e.attempts)
	r.dropCapture()
	r.ending.Event = outcome.Classify(e.details)
	if r.ending.Event == outcome.Answered { // the response never ended: the client left
		r.ending.Event = outcome.None
	}
	r.settle(r.settlement(r.ending.Outcome(&r.cluster.failures), true), e.now)
	r.state = Done
}

// settlement is an outcome that is known now, and whether the attempt is over as well. What it took is the time to the
// response's headers, or to the end without any: how fast a client reads a body is not upstream's doing.
func (r *Request) settlement(result breaker.Outcome, over bool) stage.Settlement {
	return stage.Settlement{Known: true, Outcome: result, Ending: &r.ending, Took: time.Duration(r.took), Over: over}
}

// settle tells the stages what became of the attempt.
func (r *Request) settle(s stage.Settlement, now int64) {
	if r.took == 0 {
		s.Took = time.Duration(now - r.sent)
	}
	r.cluster.chain.Settle(&r.attempt, s, now)
}

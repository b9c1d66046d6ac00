package request

import (
	"time"

	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/policy/breaker"
)

// Deadlines are what the client asks Envoy, or by grpc-timeout upstream too, to end its request after, in milliseconds, rounded
// up; 0: nothing. A deadline of 1 ms says nothing about upstream, one of 10 s does: what fails after it has passed is a failure
// where upstream has had the request for circuit_breaker.min_client_deadline, else neither.
type Deadlines struct {
	Request uint32 // x-envoy-upstream-rq-timeout-ms; the policy's own takes its place
	Try     uint32 // x-envoy-upstream-rq-per-try-timeout-ms; likewise
	Stream  uint32 // x-envoy-upstream-stream-duration-ms, x-envoy-expected-rq-timeout-ms
	Call    uint32 // grpc-timeout, of a gRPC call
}

// earlyTimer is how much earlier than set a timer of Envoy may be seen to end: it counts from when the worker's event loop began
// to handle what was there, a request that waited behind others starts later.
const earlyTimer = 50 * time.Millisecond

// shortest is the shortest deadline that Envoy or upstream may obey, 0: none.
func (r *Request) shortest() (d time.Duration) {
	in := r.in.Deadlines
	for _, h := range r.forRouter() {
		switch h[0] {
		case "x-envoy-upstream-rq-timeout-ms":
			in.Request = 0
		case "x-envoy-upstream-rq-per-try-timeout-ms":
			in.Try = 0
		}
	}
	if !r.in.GRPC {
		in.Call = 0
	}
	for _, ms := range [...]uint32{in.Request, in.Try, in.Stream, in.Call} {
		if asked := time.Duration(ms) * time.Millisecond; asked > 0 && (d == 0 || asked < d) {
			d = asked
		}
	}
	return d
}

// hurried reports whether what ended the request at time now, or answered it, may be its client's deadline, which left upstream
// less than min_client_deadline.
func (r *Request) hurried(kind outcome.Kind, e *outcome.Ending, now int64) bool {
	return r.mayBeHurried(kind, e, now) && r.shortest() <= time.Duration(now-r.came)+earlyTimer
}

func (r *Request) mayBeHurried(kind outcome.Kind, e *outcome.Ending, now int64) bool {
	if r.in.Deadlines == (Deadlines{}) || r.shortest() == 0 {
		return false
	}
	had := time.Duration(0)
	if r.progress.whole != 0 {
		had = time.Duration(now - r.progress.whole)
	}
	least := time.Duration(r.cluster.leastDeadline)
	if had >= least-min(least/10, earlyTimer) {
		return false
	}
	switch e.Event {
	case outcome.Timeout:
		return kind == outcome.WaitTimer || kind == outcome.DurationTimer
	case outcome.Reset: // by a gRPC server, which ends a call at its deadline
		return r.in.GRPC
	case outcome.Answered: // by the same, by an Envoy that obeys the same header
		return r.in.GRPC || e.Status == 504 || e.Status == 408
	default:
		return false
	}
}

// WantsAge reports whether it matters for a request that is ended, or answered, as these tell, when its stream began: filters
// before Weir, and Redis, may have kept it while a client's deadline ran.
func (r *Request) WantsAge(details string, status, grpc int, now int64) bool {
	if r.in.Deadlines == (Deadlines{}) || r.cluster == nil {
		return false
	}
	kind := r.kindOf(details)
	e := outcome.Ending{Event: outcome.Of(kind, outcome.Whole), Status: status, GRPC: grpc}
	return e.Outcome(&r.cluster.failures) == breaker.Failure && r.mayBeHurried(kind, &e, now) && !r.hurried(kind, &e, now)
}

// Age says how long ago the request's stream began.
func (r *Request) Age(age time.Duration, now int64) { r.came = min(r.came, now-int64(age)) }

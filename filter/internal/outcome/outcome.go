// Package outcome decides how an attempt ended for upstream, by what Envoy reports: success, failure or neither.
//
//	response.code_details, where the request was ── Ended ──► Event ─┐
//	status, grpc-status, upstream's time ────────────────────────────┴─► Ending ── Outcome(policy) ──► success | failure | neither
//
// Neither is an end that the client caused, or a response that is not upstream's: it does not count.
package outcome

import (
	"strconv"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/retry"
)

// Event is what happened to a request, by what Envoy reports.
type Event uint8

// The events.
const (
	None           Event = iota // no end yet, or the client's end
	Answered                    // upstream answered, see Status and GRPC
	Local                       // something else in this proxy answered: another filter, a direct response
	Reset                       // upstream broke the stream
	ConnectFailure              // no connection: refused, timed out, TLS, no healthy host
	Timeout                     // a timer of Envoy ended what upstream did not answer
	Overflow                    // Envoy's own limit on connections or requests: the request was not sent
	Interrupted                 // upstream broke the stream while the client still sent: either may be why
)

// NoGRPC is the gRPC status of a response that has none.
const NoGRPC = -1

// Ending is how an attempt ended: an event and, if there is a response, its status.
type Ending struct {
	Event  Event
	Status int  // of the response
	GRPC   int  // its gRPC status, else NoGRPC
	Late   bool // the response took longer than circuit_breaker.timeout

	Inner      bool // another Weir, behind this one, has answered in place of its upstream
	Unfinished bool // the response came before upstream had the whole request
	Hurried    bool // a deadline that the client chose may be why it failed, which left upstream too little time to be blamed
}

// requestTimeout is the status of a server that waited too long for the rest of a request: the client's.
const requestTimeout = 408

// clientTooSlow reports whether upstream's response says that it waited too long for the request.
func (e *Ending) clientTooSlow() bool { return e.Unfinished && e.Status == requestTimeout }

// Outcome is the outcome for a breaker whose policy lists these failures. A response is a success unless it is a
// failure. An attempt without a response is neither if the policy does not list its event. Nor is a failure that the client's
// deadline may have caused.
func (e *Ending) Outcome(f *policy.Failures) breaker.Outcome {
	o := e.whoever(f)
	if o == breaker.Failure && e.Hurried {
		return breaker.Neither
	}
	return o
}

// whoever is the outcome whoever caused it.
func (e *Ending) whoever(f *policy.Failures) breaker.Outcome {
	switch e.Event {
	case Answered:
		switch {
		case e.failedStatus(f), e.failedGRPC(f):
			return breaker.Failure
		case e.Inner: // it says nothing good of upstream
			return breaker.Neither
		case e.Late && f.Timeout:
			return breaker.Failure
		case e.clientTooSlow():
			return breaker.Neither
		}
		return breaker.Success
	case Reset:
		return failureIf(f.Reset)
	case ConnectFailure:
		return failureIf(f.ConnectFailure)
	case Timeout:
		return failureIf(f.Timeout)
	default: // None, Local, Overflow: upstream had no part in it; Interrupted: maybe
		return breaker.Neither
	}
}

func failureIf(listed bool) breaker.Outcome {
	if listed {
		return breaker.Failure
	}
	return breaker.Neither
}

func (e *Ending) failedStatus(f *policy.Failures) bool {
	return f.Statuses.Has(e.Status) && !e.clientTooSlow()
}

func (e *Ending) failedGRPC(f *policy.Failures) bool {
	return e.GRPC >= 0 && e.GRPC < len(f.GRPC) && f.GRPC[e.GRPC]
}

// WantsFallback reports whether a fallback should replace a response whose headers have not been sent: it is a failure.
// A response that is only late is not replaced. Envoy's own overflow and an upload that upstream broke off are no
// failures of upstream, but there is no response from upstream either.
func (e *Ending) WantsFallback(f *policy.Failures) bool {
	switch e.Event {
	case Answered:
		return e.failedStatus(f) || e.failedGRPC(f)
	case Overflow, Interrupted:
		return true
	default:
		return e.whoever(f) == breaker.Failure
	}
}

// Cause describes an ending in log lines.
func (e *Ending) Cause(f *policy.Failures) string {
	switch e.Event {
	case Answered:
		switch {
		case e.failedStatus(f):
			return "status " + strconv.Itoa(e.Status)
		case e.failedGRPC(f):
			return "gRPC status " + strconv.Itoa(e.GRPC)
		case e.Late && f.Timeout:
			return "slower than the timeout"
		}
		return "success"
	case Reset:
		return "reset"
	case ConnectFailure:
		return "connect failure"
	case Timeout:
		return "timeout"
	default:
		return "none"
	}
}

// ForRetry is the ending as package retry's conditions read it.
func (e *Ending) ForRetry() retry.Outcome {
	o := retry.Outcome{Status: e.Status, GRPC: e.GRPC}
	switch e.Event {
	case Answered:
		o.Event = retry.Answered
	case Reset:
		o.Event = retry.Reset
	case ConnectFailure:
		o.Event = retry.ConnectFailure
	case Timeout:
		o.Event = retry.Timeout
	}
	return o
}

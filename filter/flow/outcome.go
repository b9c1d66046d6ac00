package flow

import (
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
)

// event is what happened to a request, as far as Envoy can tell.
type event uint8

const (
	eventNone           event = iota // nothing yet, or what the client did
	eventAnswer                      // upstream answered; its status tells
	eventLocal                       // somebody else in this proxy answered: another filter, a direct response
	eventReset                       // upstream broke off
	eventConnectFailure              // no connection: refused, timed out, TLS, no healthy host
	eventTimeout                     // upstream took longer than the router was told to wait
	eventOverflow                    // Envoy's own limits on connections or requests: upstream was never asked
)

// Envoy's response code details (source/common/stream_info, ResponseCodeDetails), seen in Envoy 1.40. Underscores
// stand for blanks; a reason in braces follows the resets.
const (
	detailsUpstream    = "via_upstream"
	detailsResetBefore = "upstream_reset_before_response_started"
	detailsResetAfter  = "upstream_reset_after_response_started"
)

// classify reads an event from response.code_details.
func classify(details string) event {
	switch details {
	case "":
		return eventNone
	case detailsUpstream:
		return eventAnswer
	case detailsNoHost:
		return eventConnectFailure
	case "response_timeout", "upstream_per_try_timeout", "upstream_per_try_idle_timeout", "upstream_max_stream_duration_reached":
		return eventTimeout
	}
	reason, ok := strings.CutPrefix(details, detailsResetBefore)
	if !ok {
		reason, ok = strings.CutPrefix(details, detailsResetAfter)
	}
	switch {
	case !ok && strings.HasPrefix(details, "downstream_"):
		return eventNone
	case !ok:
		return eventLocal
	case strings.HasPrefix(reason, "{overflow"):
		return eventOverflow
	// {remote_connection_failure|…}, {local_connection_failure|…}, {connection_timeout|…}
	case strings.Contains(reason, "connection_failure"), strings.HasPrefix(reason, "{connection_timeout"):
		return eventConnectFailure
	default:
		return eventReset
	}
}

// noGRPC stands for "no gRPC status".
const noGRPC = -1

// ending is what a request came to: an event and, for an answer, what it said.
type ending struct {
	event  event
	status int // of the answer
	grpc   int // the gRPC status of a gRPC answer, else noGRPC
	late   bool
}

// outcome is what an ending means to a breaker whose policy has these failures. An answer is a success unless it is a
// failure; a broken one that the policy does not list is neither.
func (e *ending) outcome(f *policy.Failures) breaker.Outcome {
	switch e.event {
	case eventAnswer:
		if e.failedStatus(f) || e.failedGRPC(f) || (e.late && f.Timeout) {
			return breaker.Failure
		}
		return breaker.Success
	case eventReset:
		return failureIf(f.Reset)
	case eventConnectFailure:
		return failureIf(f.ConnectFailure)
	case eventTimeout:
		return failureIf(f.Timeout)
	default: // eventNone, eventLocal, eventOverflow: upstream had no part in it
		return breaker.Neither
	}
}

func failureIf(listed bool) breaker.Outcome {
	if listed {
		return breaker.Failure
	}
	return breaker.Neither
}

func (e *ending) failedStatus(f *policy.Failures) bool {
	return e.status >= 0 && e.status < len(f.Statuses) && f.Statuses[e.status]
}

func (e *ending) failedGRPC(f *policy.Failures) bool {
	return e.grpc >= 0 && e.grpc < len(f.GRPC) && f.GRPC[e.grpc]
}

// wantsFallback says whether an answer that has not begun should be replaced: it is a failure and there is nothing
// better than it. An answer that is only late is an answer. Envoy's own overflow is no failure of upstream, but the
// client has no answer from it.
func (e *ending) wantsFallback(f *policy.Failures) bool {
	switch e.event {
	case eventAnswer:
		return e.failedStatus(f) || e.failedGRPC(f)
	case eventOverflow:
		return true
	default:
		return e.outcome(f) == breaker.Failure
	}
}

// cause names an ending in a log line.
func (e *ending) cause(f *policy.Failures) string {
	switch e.event {
	case eventAnswer:
		switch {
		case e.failedStatus(f):
			return "status " + strconv.Itoa(e.status)
		case e.failedGRPC(f):
			return "gRPC status " + strconv.Itoa(e.grpc)
		case e.late && f.Timeout:
			return "slower than the timeout"
		}
		return "success"
	case eventReset:
		return "reset"
	case eventConnectFailure:
		return "connect failure"
	case eventTimeout:
		return "timeout"
	default:
		return "none"
	}
}

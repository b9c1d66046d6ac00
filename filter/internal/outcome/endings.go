package outcome

import "strings"

// Whom an end is blamed on depends on two things: what ended the request, which response.code_details tell, and where
// the request was then. endings is the one table of it, docs/endings.md shows it to users, and TestDocsShowTheTable
// compares the two.

// Phase is where a request was when it ended.
type Phase uint8

// The phases, in the order in which a request passes them.
const (
	Begun    Phase = iota // upstream has not the whole request yet, for less than a second
	Sending               // the same, for longer: a server's own limit on slow requests may have ended it
	Brief                 // upstream has it all, but for a shorter time than the client took to send it
	Whole                 // upstream has it all, and has not answered
	Stalled               // the response's headers came, then the body stopped, and Envoy can't have waited for the client
	Flowing               // the body flows, or the answer is a stream, which may be silent
	Unread                // the body stopped after so many bytes that Envoy may have waited for the client
	Upgraded              // an upgraded connection or CONNECT, which either side ends by closing it: Envoy reports a reset
	phases
)

// Kind is what ended a request, or answered it.
type Kind uint8

// The kinds.
const (
	ByClient      Kind = iota // the client left, broke its protocol, or its connection was closed
	ByUpstream                // upstream's response
	ByProxy                   // another filter, a direct response, a limit of Envoy on sizes: never upstream
	Unreachable               // no connection to a host
	Overloaded                // Envoy's own limit on connections or requests to the cluster, or on what it keeps for a retry
	Broken                    // upstream broke the stream
	WaitTimer                 // a timer that starts when upstream has the whole request
	IdleTimer                 // a timer that starts again with each piece of the request and the response
	DurationTimer             // a timer that starts with the request
	UploadTimer               // a timer for the client to send its request
	kinds
)

// endings is what an end by kind in a phase counts as. Of Reset, ConnectFailure and Timeout those are failures that
// expected_failures lists; None, Local, Overflow and Interrupted count as neither.
var endings = [kinds][phases]Event{
	//               Begun           Sending         Brief           Whole           Stalled         Flowing         Unread          Upgraded
	ByClient:      {None, None, None, None, None, None, None, None},
	ByUpstream:    {Answered, Answered, Answered, Answered, None, None, None, None}, // twice: the response never ended
	ByProxy:       {Local, Local, Local, Local, Local, Local, Local, Local},
	Unreachable:   {ConnectFailure, ConnectFailure, ConnectFailure, ConnectFailure, ConnectFailure, ConnectFailure, ConnectFailure, ConnectFailure},
	Overloaded:    {Overflow, Overflow, Overflow, Overflow, Overflow, Overflow, Overflow, Overflow},
	Broken:        {Interrupted, Interrupted, Reset, Reset, Reset, Reset, None, None},
	WaitTimer:     {None, None, Timeout, Timeout, Timeout, None, None, None},
	IdleTimer:     {None, None, Timeout, Timeout, Timeout, None, None, None},
	DurationTimer: {None, None, None, Timeout, Timeout, None, None, None},
	UploadTimer:   {None, None, None, None, None, None, None, None},
}

// Of is what an end of a kind counts as.
func Of(k Kind, at Phase) Event { return endings[k][at] }

// Ended is what an end with these response.code_details counts as.
func Ended(details string, at Phase) Event { return Of(KindOf(details), at) }

// Envoy's response code details (envoy/stream_info/stream_info.h, ResponseCodeDetailValues), seen in Envoy 1.40. Envoy
// writes underscores for spaces; resets are followed by a reason in braces.
const (
	DetailsUpstream      = "via_upstream"
	DetailsNoHealthyHost = "no_healthy_upstream"
	DetailsTimeout       = "response_timeout"
	DetailsIdle          = "stream_idle_timeout"
	DetailsResetBefore   = "upstream_reset_before_response_started"
	DetailsResetAfter    = "upstream_reset_after_response_started"
	// DetailsUnkept: upstream failed, the router waited for its retry, and more body came than it keeps. It answers 507,
	// and does not say what upstream's failure was.
	DetailsUnkept = "request_payload_exceeded_retry_buffer_limit"
)

// IsProtocolError reports whether upstream's side refused a request by a stream error PROTOCOL_ERROR, or answered with what
// is no HTTP.
func IsProtocolError(details string) bool {
	return strings.HasPrefix(details, DetailsResetBefore+"{protocol_error")
}

// KindOf reads what ended a request from response.code_details. What is not listed is another filter's own text.
func KindOf(details string) Kind {
	switch details {
	case DetailsUpstream:
		return ByUpstream
	case "":
		return ByClient
	case DetailsNoHealthyHost:
		return Unreachable
	case DetailsUnkept:
		return Overloaded
	case DetailsTimeout, "upstream_per_try_timeout":
		return WaitTimer
	case DetailsIdle, "upstream_per_try_idle_timeout":
		return IdleTimer
	case "max_duration_timeout", "upstream_max_stream_duration_reached":
		return DurationTimer
	case "request_overall_timeout", "request_header_timeout", "downstream_header_timeout":
		return UploadTimer
	case "duration_timeout": // of the client's connection
		return ByClient
	}
	reason, ok := strings.CutPrefix(details, DetailsResetBefore)
	if !ok {
		reason, ok = strings.CutPrefix(details, DetailsResetAfter)
	}
	if ok {
		return resetKind(reason)
	}
	if strings.HasPrefix(details, DetailsNoHealthyHost+"{") { // with the load balancer's reason
		return Unreachable
	}
	// downstream_remote_disconnect, downstream_local_disconnect(…); http1., http2. and http3. are the codec's of the
	// client's connection, as http2.remote_reset
	for _, prefix := range [...]string{"downstream_", "http1.", "http2.", "http3."} {
		if strings.HasPrefix(details, prefix) {
			return ByClient
		}
	}
	return ByProxy
}

// resetKind reads the reason of a reset (Http::Utility::resetReasonToString), with a transport's text behind a bar:
// {remote_connection_failure|delayed_connect_error:_111}.
func resetKind(reason string) Kind {
	reason = strings.TrimPrefix(reason, "{")
	for _, r := range [...]struct {
		begins string
		is     Kind
	}{
		{"connection_failure", Unreachable}, // before Envoy 1.27
		{"remote_connection_failure", Unreachable},
		{"local_connection_failure", Unreachable},
		{"connection_timeout", Unreachable},
		{"overflow", Overloaded},
		{"overload_manager_reset", ByProxy},
	} {
		if strings.HasPrefix(reason, r.begins) {
			return r.is
		}
	}
	return Broken
}

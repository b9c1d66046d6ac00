package replay

// Reason is why a request can't be sent again, or an answer not be given, as it is.
type Reason uint8

// The reasons.
const (
	None            Reason = iota
	Connect                // CONNECT, also the extended one (RFC 8441): what follows is no message
	Upgrade                // the connection becomes something else
	GRPC                   // its status stands in trailers, which a local reply has not
	Events                 // a stream of events has no end to wait for
	RequestTooLong         // the request's body is longer than the policy's max_body_bytes
	HasTrailers            // Envoy can't send any with a call
	RecorderFull           // the worker records as much as it may
	Unfinished             // it has not all come yet
	Dropped                // the copy is no longer there, or never was
	ResponseTooLong        // the answer's body is longer than MaxResponse
	InvalidStatus          // it is none of 200 to 599
)

var reasons = [...]string{
	None: "", Connect: "CONNECT", Upgrade: "an upgrade", GRPC: "gRPC", Events: "a stream of events", RequestTooLong: "its body is too long",
	HasTrailers: "it has trailers", RecorderFull: "too many requests are recorded", Unfinished: "its body has not ended", Dropped: "it is not recorded",
	ResponseTooLong: "the answer is too long", InvalidStatus: "the answer's status is none",
}

// String is the reason for a log line, "" for None.
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return "unknown"
}

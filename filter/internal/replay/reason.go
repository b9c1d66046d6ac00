package replay

// Reason is why a request can't be sent again, or a response can't be sent to the client.
type Reason uint8

// The reasons.
const (
	None             Reason = iota
	Connect                 // CONNECT, also the extended one (RFC 8441): no HTTP message follows
	Upgrade                 // the connection changes its protocol
	GRPC                    // its status is in trailers, which a local reply can't have
	Events                  // a stream of events does not end
	RequestTooLong          // the request's body is longer than the policy's max_body_bytes
	HasTrailers             // Envoy can't send trailers with a call
	RecorderFull            // the worker's recordings take all bytes that they may
	Unfinished              // its body has not ended yet
	Dropped                 // it is not recorded, or not any more
	ResponseTooLong         // the response's body is longer than MaxResponse
	InvalidStatus           // the response's status is not 200 to 599
	ResponseEvents          // the response is a stream of events
	ResponseTrailers        // the response has trailers, which a local reply can't have
	TooManyBytes            // the responses that the worker reads now take all bytes that they may
	TooManyAttempts         // as many attempts as may be are in flight
	OtherCluster            // the route leads to another cluster than the one that admitted the attempt
	NoWay                   // Envoy did not send it to retry.via
)

var reasons = [...]string{
	None: "", Connect: "CONNECT", Upgrade: "an upgrade", GRPC: "gRPC", Events: "a stream of events",
	RequestTooLong: "its body is too long", HasTrailers: "it has trailers", RecorderFull: "too many requests are recorded",
	Unfinished: "its body has not ended", Dropped: "it is not recorded", ResponseTooLong: "the response is too long",
	InvalidStatus: "the response's status is not 200 to 599", ResponseEvents: "the response is a stream of events",
	ResponseTrailers: "the response has trailers", TooManyBytes: "responses to other attempts take all bytes that they may",
	TooManyAttempts: "too many attempts are in flight", OtherCluster: "its route leads to another cluster",
	NoWay: "Envoy could not send it to retry.via",
}

// String is the reason for a log line, "" for None.
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return "unknown"
}

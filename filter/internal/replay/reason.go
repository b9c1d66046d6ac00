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
	WentElsewhere           // it went to another cluster, by a filter behind Weir or a redirect of the router
	NoWay                   // Envoy did not send it to retry.via
	Unseen                  // it did not come to Weir in the internal listener
	Metadata                // filters of the internal listener have not noted the same about it as those of the first attempt
	Certificate             // the client has shown a certificate, which does not come along
	LocalAnswer             // another filter, or the route itself, answered it in the internal listener
	Reasons
)

var reasons = [...]string{
	None: "", Connect: "CONNECT", Upgrade: "an upgrade", GRPC: "gRPC", Events: "a stream of events",
	RequestTooLong: "its body is too long", HasTrailers: "it has trailers", RecorderFull: "too many requests are recorded",
	Unfinished: "its body has not ended", Dropped: "it is not recorded", ResponseTooLong: "the response is too long",
	InvalidStatus: "the response's status is not 200 to 599", ResponseEvents: "the response is a stream of events",
	ResponseTrailers: "the response has trailers", TooManyBytes: "responses to other attempts take all bytes that they may",
	TooManyAttempts: "too many attempts are in flight", OtherCluster: "its route leads to another cluster",
	WentElsewhere: "it went to another cluster", NoWay: "Envoy could not send it to retry.via",
	Unseen:   "it did not come to Weir in the internal listener: a filter before Weir answered it, or the listener or Weir in it is missing",
	Metadata: "filters have noted dynamic metadata about it, and those before Weir in the internal listener do not note the same", Certificate: "the client has shown a certificate",
	LocalAnswer: "another filter or the route itself answered it in the internal listener",
}

// labels are the reasons in the label `reason` of weir_attempts_uncarried_total: a closed set.
var labels = [...]string{
	None: "", Connect: "connect", Upgrade: "upgrade", GRPC: "grpc", Events: "event_stream", RequestTooLong: "request_too_long",
	HasTrailers: "request_trailers", RecorderFull: "too_many_recorded", Unfinished: "request_unfinished", Dropped: "not_recorded",
	ResponseTooLong: "response_too_long", InvalidStatus: "invalid_status", ResponseEvents: "response_event_stream",
	ResponseTrailers: "response_trailers", TooManyBytes: "too_many_bytes", TooManyAttempts: "too_many_attempts",
	OtherCluster: "other_cluster", WentElsewhere: "other_cluster", NoWay: "no_way", Unseen: "unseen", Metadata: "metadata", Certificate: "certificate",
	LocalAnswer: "local_answer",
}

// Label is the reason in a metric.
func (r Reason) Label() string {
	if int(r) < len(labels) {
		return labels[r]
	}
	return "unknown"
}

// String is the reason for a log line, "" for None.
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return "unknown"
}

const (
	useRouter    = "Envoy's router retries these: driver: envoy"
	likeTraffic  = "give the listener of retry.via the routes, and behind Weir the filters, of the traffic's listener"
	fromRender   = "retry.via has to lead to an internal listener with Weir and {attempts: {}} first in it, as weir render writes it"
	moreWorkers  = "a worker's bound: fewer retries at a time, more workers, or driver: envoy"
	asksUpstream = "upstream's to change"
)

// Advice is what to do about it.
func (r Reason) Advice() string {
	switch r {
	case RequestTooLong:
		return "raise retry.max_body_bytes"
	case Unfinished:
		return "upstream failed before it had read the request: no retry can help"
	case RecorderFull, TooManyBytes, TooManyAttempts:
		return moreWorkers
	case InvalidStatus:
		return asksUpstream
	case OtherCluster, WentElsewhere, LocalAnswer:
		return likeTraffic
	case NoWay, Unseen:
		return fromRender
	case Metadata:
		return "put the filters that note metadata, such as rbac and header_to_metadata, before Weir in the listener of retry.via too, or driver: envoy"
	default:
		return useRouter
	}
}

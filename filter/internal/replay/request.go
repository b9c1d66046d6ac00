package replay

import (
	"strings"

	"github.com/weir-mesh/weir/filter/internal/host/pairs"
	"github.com/weir-mesh/weir/policy/header"
)

// Request is the recorded request for the next attempt. It needs a Whole recording. The headers are the recorder's
// memory and valid until its next Request or Response; their texts and the body are the recording's, until it is
// dropped.
//
// These headers are left out: hop-by-hop headers (RFC 9110, section 7.6.1), content-length, which Envoy sets from the
// body, the expectation of a 100 (Continue), what only Weir may set, and what controls Envoy's router. `te: trailers`
// is among them: trailers of the response would not reach the client.
func (r *Recording) Request() (headers [][2]string, body []byte) {
	if !r.Whole() {
		return nil, nil
	}
	from, recorded := r.from, pairs.Packed(r.buf[:r.head])
	from.readConnection(recorded)
	headers = from.headers[:0]
	empty := len(r.buf) == r.head
	recorded.All(func(name, value string) bool {
		if isForNextAttempt(name) && !from.isNamed(name) || name == "content-length" && value == "0" && empty {
			headers = append(headers, [2]string{name, value})
		}
		return true
	})
	from.headers = headers
	return headers, r.buf[r.head:]
}

// isForNextAttempt reports whether a request header is sent with the next attempt.
func isForNextAttempt(name string) bool {
	switch name {
	case "content-length", "expect", "http2-settings",
		// Envoy's docs, "Router": HTTP headers (consumed). The router of a call reads them as that of a route does.
		"x-envoy-max-retries", "x-envoy-retry-on", "x-envoy-retry-grpc-on",
		"x-envoy-retriable-status-codes", "x-envoy-retriable-header-names", "x-envoy-hedge-on-per-try-timeout",
		"x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms", "x-envoy-upstream-rq-timeout-alt-response",
		"x-envoy-upstream-stream-duration-ms", "x-envoy-upstream-alt-stat-name", "x-envoy-expected-rq-timeout-ms":
		return false
	}
	return !isHopByHop(name) && !strings.HasPrefix(name, header.Prefix)
}

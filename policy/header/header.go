// Package header is the one list of Weir's own header names, and the few readings of headers that several packages share.
package header

import (
	"strings"

	"github.com/weir-mesh/weir/policy/ascii"
)

// Weir's headers on responses. They are only set by Weir: those of clients are removed, and those of upstreams unless they
// are another Weir's, which answered in place of its own upstream.
const (
	Prefix       = "x-weir-"
	Source       = "x-weir-source"
	Reason       = "x-weir-reason"
	FallbackUsed = "x-weir-fallback-used"
	DegradedMode = "x-weir-degraded-mode"
	Error        = "x-weir-error"

	// Attempt has the number of an attempt that Weir makes itself, on its way to the internal listener of retry.via, and
	// AttemptClient the client's address.
	Attempt       = "x-weir-attempt"
	AttemptClient = "x-weir-client"

	// FailoverCluster is the default of failover.header, on requests.
	FailoverCluster = "x-weir-cluster"
)

// IsOwn reports whether a name begins with Prefix, as an upstream may read it: CGI and all that follows it read `_` as `-`.
func IsOwn(name string) bool {
	return len(name) >= len(Prefix) && name[0] == Prefix[0] && Alike(name[:len(Prefix)], Prefix) // most names begin otherwise
}

// Alike reports whether two names in lower case are the same where `_` and `-` are.
func Alike(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && (a[i] != '_' && a[i] != '-' || b[i] != '_' && b[i] != '-') {
			return false
		}
	}
	return true
}

// ShadowPrefix starts a reason for which a policy in shadow mode would have refused: `shadow_rate_limited`.
const ShadowPrefix = "shadow_"

// Pair is a header: its name in lower case, and its value.
type Pair = [2]string

// Headers are the headers of one message in order, with names in lower case and pseudo-headers included. The strings are
// valid only while All runs: copy what is kept.
type Headers interface {
	All(yield func(name, value string) bool)
}

// First is the first value under a name, "" where the message has none.
func First(headers Headers, want string) string {
	if h, ok := headers.(interface{ First(name string) string }); ok { // the host's: without a function, which is an allocation
		return h.First(want)
	}
	return firstOf(headers, want)
}

func firstOf(headers Headers, want string) (got string) {
	headers.All(func(name, value string) bool {
		if name == want {
			got = value
			return false
		}
		return true
	})
	return got
}

// IsEvents reports whether a value of accept or content-type names text/event-stream, anywhere and in any case. Clients of
// the Model Context Protocol send `application/json, text/event-stream`.
func IsEvents(value string) bool {
	const events = "text/event-stream"
	for at := 0; at+len(events) <= len(value); at++ {
		if value[at]|0x20 == 't' && ascii.EqualFold(value[at:at+len(events)], events) {
			return true
		}
	}
	return false
}

// IsGRPC reports whether a content-type is gRPC: application/grpc, application/grpc+proto or with parameters, as Envoy
// reads it (Grpc::Common::isGrpcRequestHeaders). application/grpc-web is another protocol: its trailers are in the body.
func IsGRPC(contentType string) bool {
	rest, ok := strings.CutPrefix(contentType, "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

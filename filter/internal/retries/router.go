package retries

import (
	"slices"
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/policy/statuses"
)

// RequestHeaders are those by which a client that Envoy trusts (an internal address) has the router make more attempts
// than the route says. The others of the router change which failures of the route's own retries count, or are times.
var RequestHeaders = [...]string{"x-envoy-max-retries", "x-envoy-retry-on", "x-envoy-retry-grpc-on", "x-envoy-hedge-on-per-try-timeout"}

// IsRequestHeader reports whether a name is one of RequestHeaders.
func IsRequestHeader(name string) bool {
	return strings.HasPrefix(name, "x-envoy-") && slices.Contains(RequestHeaders[:], name)
}

// routerConditions writes retry_on as the router reads it (Envoy's docs, "Router": x-envoy-retry-on,
// x-envoy-retry-grpc-on, x-envoy-retriable-status-codes). Its `5xx` is every 5xx, a reset, a connection failure and a
// timeout of one attempt; its `reset` is a timeout too, so either of those two means both.
func routerConditions(on *policy.Failures) (headers []header.Pair) {
	broken := on.Reset || on.Timeout
	var words, codes []string
	rest := on.Statuses
	if rest.HasClass(5) && broken && on.ConnectFailure {
		words = append(words, "5xx")
		rest.RemoveClass(5)
	} else {
		if broken {
			words = append(words, "reset")
		}
		if on.ConnectFailure {
			words = append(words, "connect-failure")
		}
	}
	for status := range statuses.Max + 1 {
		if rest.Has(status) {
			codes = append(codes, strconv.Itoa(status))
		}
	}
	if len(codes) > 0 {
		words = append(words, "retriable-status-codes")
	}
	if len(words) > 0 {
		headers = append(headers, header.Pair{"x-envoy-retry-on", strings.Join(words, ",")})
	}
	if len(codes) > 0 {
		headers = append(headers, header.Pair{"x-envoy-retriable-status-codes", strings.Join(codes, ",")})
	}
	var grpc []string
	for code, listed := range on.GRPC {
		if name := policy.RouterGRPC(code); listed && name != "" {
			grpc = append(grpc, name)
		}
	}
	if len(grpc) > 0 {
		headers = append(headers, header.Pair{"x-envoy-retry-grpc-on", strings.Join(grpc, ",")})
	}
	return headers
}

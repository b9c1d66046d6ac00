package fallback

import (
	"strings"

	"github.com/weir-mesh/weir/policy/header"
)

// Keep reports whether a header of an answer is stored with it. Headers of one connection (RFC 9110, section 7.6.1),
// one request or one point in time are not, nor those that are set when the answer is served.
func Keep(name string) bool {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
		"content-length", "proxy-status", "alt-svc",
		"age", "warning",
		"set-cookie", "set-cookie2", "www-authenticate", "proxy-authenticate", "authentication-info", "proxy-authentication-info",
		"retry-after", "ratelimit",
		"server-timing", "x-runtime", "x-response-time",
		"traceparent", "tracestate", "traceresponse", "baggage", "b3", "x-amzn-trace-id", "x-cloud-trace-context", "x-trace-id",
		"uber-trace-id", "x-amz-id-2", "x-amz-cf-id", "cf-ray", "x-correlation-id", "x-amzn-requestid":
		return false
	}
	for _, prefix := range [...]string{":", "x-envoy-", "ratelimit-", "x-ratelimit-", "x-rate-limit-", "x-b3-"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return !header.IsOwn(name) && !strings.HasSuffix(name, "request-id") // x-request-id, x-amz-request-id, x-ms-request-id
}

// Kept are the headers of an answer that are stored.
func Kept(h Headers) Headers { return kept{h} }

type kept struct{ headers Headers }

// All implements Headers.
func (k kept) All(yield func(name, value string) bool) {
	k.headers.All(func(name, value string) bool { return !Keep(name) || yield(name, value) })
}

// KeepNotModified reports whether a stored header is also sent with a 304 (RFC 9110, section 15.4.5).
func KeepNotModified(name string) bool {
	switch name {
	case "cache-control", "content-location", "date", "etag", "expires", "vary", "access-control-allow-origin":
		return true
	}
	return false
}

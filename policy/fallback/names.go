package fallback

import (
	"slices"
	"strings"
)

// reroutes reports whether an upstream may take another method, host or path from this request header, which is not in
// every key ("Practical Web Cache Poisoning", Kettle 2018; "Web Cache Entanglement", Kettle 2020). Load balancers don't
// set them on each request, except `forwarded`, which has the client's address and differs for each client.
func reroutes(name string) bool {
	switch name {
	case "forwarded",
		"x-host", "x-original-host", "x-http-host-override", "x-forwarded-path", "x-forwarded-uri",
		"x-original-url", "x-original-uri", "x-rewrite-url", "x-http-destinationurl", "x-http-path-override",
		"x-forwarded-method", "x-original-method",
		"x-http-method-override", "x-http-method", "x-method-override":
		return true
	}
	return false
}

// isCredential reports whether a request header is a credential, whose answer is never shared (RFC 9111, section 3.5).
func isCredential(name string) bool {
	return name == "authorization" || name == "proxy-authorization" || name == "cookie" || name == "cookie2"
}

// dashed is a header's name with - for each _. CGI and what follows it read the two alike, so x_tenant may be x-tenant to an
// upstream.
func dashed(name string) string {
	if strings.IndexByte(name, '_') < 0 {
		return name
	}
	return strings.ReplaceAll(name, "_", "-")
}

// harmless reports whether a request header says nothing of who asks, as far as answers are concerned: what browsers, curl,
// Envoy, Istio and tracing add to any request. Names that carry an identity can't be listed (x-tenantid, x-sub, …), so all
// others are taken for one. Negotiation by accept needs a vary, which is checked; origin is checked with
// access-control-allow-origin. Not in the list on purpose: baggage, x-requested-with, client certificates.
func harmless(name string) bool {
	switch name {
	case "accept", "accept-charset", "accept-encoding", "cache-control", "pragma", "range",
		"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "expect",
		"content-length", "content-type", "max-forwards", "date", "via",
		"user-agent", "referer", "origin", "dnt", "priority", "upgrade-insecure-requests", "sec-gpc",
		"x-forwarded-for", "x-original-forwarded-for", "x-real-ip", "x-request-start",
		"connect-protocol-version", "connect-timeout-ms",
		"x-request-id", "request-id", "x-correlation-id", "traceparent", "tracestate", "b3", "x-amzn-trace-id",
		"x-cloud-trace-context", "x-client-trace-id", "x-ot-span-context", "uber-trace-id", "sentry-trace", "grpc-trace-bin":
		return true
	}
	// Whole families, of which each name is known: x-envoy-token or sec-ch-token would be anybody's.
	switch {
	case strings.HasPrefix(name, "x-envoy-"):
		return ofEnvoy(name[len("x-envoy-"):])
	case strings.HasPrefix(name, "sec-ch-"):
		return ofClientHints(name[len("sec-ch-"):])
	case strings.HasPrefix(name, "sec-fetch-"):
		return isOneOf(name[len("sec-fetch-"):], "site", "mode", "user", "dest", "storage-access")
	case strings.HasPrefix(name, "if-"):
		return isOneOf(name[len("if-"):], "match", "none-match", "modified-since", "unmodified-since", "range")
	case strings.HasPrefix(name, "x-b3-"):
		return isOneOf(name[len("x-b3-"):], "traceid", "spanid", "parentspanid", "sampled", "flags")
	case strings.HasPrefix(name, "x-datadog-"):
		return isOneOf(name[len("x-datadog-"):], "trace-id", "parent-id", "sampling-priority", "origin", "tags")
	}
	return false
}

func isOneOf(name string, names ...string) bool { return slices.Contains(names, name) }

// ofEnvoy reports whether x-envoy-… is a header by which Envoy's router is told about a request, or tells an upstream
// (router_filter, "HTTP headers consumed" and "set", and the connection manager's). Not: downstream-service-cluster,
// downstream-service-node, ip-tags, peer-metadata, which say who calls.
func ofEnvoy(rest string) bool {
	switch rest {
	case "attempt-count", "decorator-operation", "expected-rq-timeout-ms", "external-address", "force-trace", "hedge-on-per-try-timeout",
		"internal", "is-timeout-retry", "max-retries", "original-host", "original-path", "retriable-header-names",
		"retriable-status-codes", "retry-on", "retry-grpc-on", "upstream-alt-stat-name", "upstream-rq-timeout-alt-response",
		"upstream-rq-timeout-ms", "upstream-rq-per-try-timeout-ms", "upstream-stream-duration-ms":
		return true
	}
	return false
}

// ofClientHints reports whether sec-ch-… is a hint of the User-Agent Client Hints or the User Preference Media Features.
func ofClientHints(rest string) bool {
	switch rest {
	case "ua", "ua-arch", "ua-bitness", "ua-form-factors", "ua-full-version", "ua-full-version-list", "ua-mobile", "ua-model",
		"ua-platform", "ua-platform-version", "ua-wow64", "prefers-color-scheme", "prefers-reduced-motion",
		"prefers-reduced-transparency", "prefers-contrast", "forced-colors", "width", "viewport-width", "viewport-height", "dpr",
		"device-memory":
		return true
	}
	return false
}

// anyWord reports whether any word of a name matches.
func anyWord(name string, matches func(word string) bool) bool {
	start := 0
	for i := range len(name) {
		if name[i] == '-' || name[i] == '_' {
			if matches(name[start:i]) {
				return true
			}
			start = i + 1
		}
	}
	return matches(name[start:])
}

// isSecret reports whether a word names a secret of one client.
func isSecret(word string) bool {
	switch word {
	case "jwt", "oauth", "oidc", "saml", "csrf", "xsrf", "secret", "password", "passwd", "dpop", "sid":
		return true
	case "author", "authors", "authority":
		return false
	}
	return strings.HasSuffix(word, "token") || strings.HasPrefix(word, "auth") || strings.HasPrefix(word, "cookie") ||
		strings.HasPrefix(word, "session") || strings.HasPrefix(word, "user")
}

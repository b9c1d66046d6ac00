package fallback

import "strings"

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
		"x-request-id", "request-id", "x-correlation-id", "traceparent", "tracestate", "b3", "x-amzn-trace-id",
		"x-cloud-trace-context", "x-client-trace-id", "x-ot-span-context", "uber-trace-id", "sentry-trace", "grpc-trace-bin":
		return true
	case "x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node", "x-envoy-ip-tags": // who calls
		return false
	}
	for _, prefix := range [...]string{"x-envoy-", "x-b3-", "x-datadog-", "sec-fetch-", "sec-ch-", "if-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
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

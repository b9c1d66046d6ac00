package fallback

import "strings"

// names is a set of header names: those of n bytes are at index n. On the path of each request it is used instead of a switch:
// TinyGo compares a string with each case by a call, with a hundred names some 1,500 instructions a header.
type names [41][]string

func (s *names) has(name string) bool {
	if len(name) >= len(s) {
		return false
	}
	for _, n := range s[len(name)] {
		if n == name {
			return true
		}
	}
	return false
}

// rerouting are request headers from which an upstream may take another method, host or path, and that are not in every key
// ("Practical Web Cache Poisoning", Kettle 2018; "Web Cache Entanglement", Kettle 2020). Load balancers don't set them on each
// request, except `forwarded`, which has the client's address and differs for each client.
var rerouting = names{
	6:  {"x-host"},
	9:  {"forwarded"},
	13: {"x-rewrite-url", "x-http-method"},
	14: {"x-original-url", "x-original-uri"},
	15: {"x-original-host", "x-forwarded-uri"},
	16: {"x-forwarded-path"},
	17: {"x-original-method", "x-method-override"},
	18: {"x-forwarded-method"},
	20: {"x-http-host-override", "x-http-path-override"},
	21: {"x-http-destinationurl"},
	22: {"x-http-method-override"},
}

// credentials are request headers whose answers are never shared (RFC 9111, section 3.5).
var credentials = names{
	6:  {"cookie"},
	7:  {"cookie2"},
	13: {"authorization"},
	19: {"proxy-authorization"},
}

// dashed is a header's name with - for each _. CGI and what follows it read the two alike, so x_tenant may be x-tenant to an
// upstream.
func dashed(name string) string {
	if strings.IndexByte(name, '_') < 0 {
		return name
	}
	return strings.ReplaceAll(name, "_", "-")
}

// harmless are request headers that say nothing of who asks, as far as answers are concerned: what browsers, curl, Envoy, Istio
// and tracing add to any request. Names that carry an identity can't be listed (x-tenantid, x-sub, …), so all others are taken
// for one. Negotiation by accept needs a vary, which is checked; origin is checked with access-control-allow-origin. Not in the
// list on purpose: baggage, x-requested-with, client certificates. Of families each name is listed, since x-envoy-token or
// sec-ch-token would be anybody's.
//
//   - x-envoy-…: by which Envoy's router is told about a request, or tells an upstream (router_filter, "HTTP headers consumed" and
//     "set", and the connection manager's). Not: downstream-service-cluster, downstream-service-node, ip-tags, peer-metadata,
//     which say who calls.
//   - sec-ch-…: User-Agent Client Hints and User Preference Media Features.
var harmless = names{
	2:  {"te", "b3"},
	3:  {"via", "dnt"},
	4:  {"date"},
	5:  {"range"},
	6:  {"accept", "pragma", "expect", "origin"},
	7:  {"trailer", "referer", "sec-gpc"},
	8:  {"priority", "if-match", "if-range"},
	9:  {"x-real-ip", "sec-ch-ua"},
	10: {"connection", "keep-alive", "user-agent", "request-id", "tracestate", "sec-ch-dpr", "x-b3-flags"},
	11: {"traceparent", "x-b3-spanid"},
	12: {"content-type", "max-forwards", "x-request-id", "sentry-trace", "sec-ch-width", "x-b3-traceid", "x-b3-sampled"},
	13: {"cache-control", "uber-trace-id", "if-none-match"},
	14: {"accept-charset", "content-length", "grpc-trace-bin", "sec-ch-ua-arch", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-user", "sec-fetch-dest", "x-datadog-tags"},
	15: {"accept-encoding", "x-forwarded-for", "x-request-start", "x-amzn-trace-id", "sec-ch-ua-model", "sec-ch-ua-wow64"},
	16: {"proxy-connection", "x-correlation-id", "x-envoy-internal", "x-envoy-retry-on", "sec-ch-ua-mobile", "x-datadog-origin"},
	17: {"transfer-encoding", "x-client-trace-id", "x-ot-span-context", "sec-ch-ua-bitness", "if-modified-since", "x-b3-parentspanid"},
	18: {"connect-timeout-ms", "sec-ch-ua-platform", "x-datadog-trace-id"},
	19: {"x-envoy-force-trace", "x-envoy-max-retries", "if-unmodified-since", "x-datadog-parent-id"},
	20: {"sec-ch-forced-colors", "sec-ch-device-memory"},
	21: {"x-cloud-trace-context", "x-envoy-attempt-count", "x-envoy-original-host", "x-envoy-original-path", "x-envoy-retry-grpc-on", "sec-ch-viewport-width"},
	22: {"sec-ch-ua-form-factors", "sec-ch-ua-full-version", "sec-ch-viewport-height"},
	23: {"sec-ch-prefers-contrast"},
	24: {"x-original-forwarded-for", "connect-protocol-version", "x-envoy-external-address", "x-envoy-is-timeout-retry", "sec-fetch-storage-access"},
	25: {"upgrade-insecure-requests"},
	26: {"sec-ch-ua-platform-version"},
	27: {"x-envoy-decorator-operation", "sec-ch-ua-full-version-list", "sec-ch-prefers-color-scheme", "x-datadog-sampling-priority"},
	29: {"sec-ch-prefers-reduced-motion"},
	30: {"x-envoy-expected-rq-timeout-ms", "x-envoy-retriable-header-names", "x-envoy-retriable-status-codes", "x-envoy-upstream-alt-stat-name", "x-envoy-upstream-rq-timeout-ms"},
	32: {"x-envoy-hedge-on-per-try-timeout"},
	35: {"x-envoy-upstream-stream-duration-ms", "sec-ch-prefers-reduced-transparency"},
	38: {"x-envoy-upstream-rq-per-try-timeout-ms"},
	40: {"x-envoy-upstream-rq-timeout-alt-response"},
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

var secretWords = names{
	3: {"jwt", "sid"},
	4: {"oidc", "saml", "csrf", "xsrf", "dpop"},
	5: {"oauth"},
	6: {"secret", "passwd"},
	8: {"password"},
}

// isSecret reports whether a word names a secret of one client.
func isSecret(word string) bool {
	if word == "" {
		return false
	}
	if secretWords.has(word) || strings.HasSuffix(word, "token") {
		return true
	}
	switch word[0] {
	case 'a':
		return strings.HasPrefix(word, "auth") && word != "author" && word != "authors" && word != "authority"
	case 'c':
		return strings.HasPrefix(word, "cookie")
	case 's':
		return strings.HasPrefix(word, "session")
	case 'u':
		return strings.HasPrefix(word, "user")
	}
	return false
}

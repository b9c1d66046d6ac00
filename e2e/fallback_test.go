package e2e

import (
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestFallbackWithoutCache goes through the chain's last two steps, for a failing upstream and an open breaker, for GET
// and HEAD.
func TestFallbackWithoutCache(t *testing.T) {
	t.Parallel()
	failing, dead, healthy := upstream.New(t), upstream.New(t), upstream.New(t)
	failing.Set(upstream.Status(500).Body("sorry"))
	dead.Refuse()
	healthy.Set(upstream.Body("fine"))
	w := start(t, `
clusters:
  default:
    circuit_breaker: {failure_threshold: 2}
    fallback:
      enable_cache_fallback: false
      default_data: {status: 203, headers: {content-type: application/vnd.aws+json, x-a: b}, body: {services: [], degraded: true}}
  degraded:
    circuit_breaker: {failure_threshold: 2}
    fallback: {enable_cache_fallback: false, degraded: {status: 502, limitations: ["prices may be missing"]}}
  none:
    circuit_breaker: {failure_threshold: 2}
    fallback: {enable_cache_fallback: false, enable_degraded_mode: false}
  limited:
    rate_limit: {algorithm: token_bucket, burst_capacity: 1, refill_rate: 0.01}
    fallback: {enable_cache_fallback: false, on: [rate_limited], default_data: {body: "later"}}
  alone:
    fallback: {enable_cache_fallback: false, default_data: {body: "no breaker needed"}}
`, map[string]*upstream.Upstream{"default": failing, "degraded": dead, "none": failing, "limited": healthy, "alone": failing})

	for _, tc := range []struct {
		cluster, reason string
		status          int
		source          string
		contentType     string
		body            string // the whole of it, or for problems
		title           string
	}{
		{"default", "upstream_failure", 203, "default", "application/vnd.aws+json", `{"degraded":true,"services":[]}`, ""},
		{"default", "upstream_failure", 203, "default", "application/vnd.aws+json", `{"degraded":true,"services":[]}`, ""},
		{"default", "circuit_open", 203, "default", "application/vnd.aws+json", `{"degraded":true,"services":[]}`, ""},
		{"degraded", "upstream_failure", 502, "degraded", "application/problem+json", "", "UpstreamFailure"},
		{"degraded", "upstream_failure", 502, "degraded", "application/problem+json", "", "UpstreamFailure"},
		{"degraded", "circuit_open", 502, "degraded", "application/problem+json", "", "CircuitBreakerError"},
		{"none", "upstream_failure", 500, "upstream", "text/plain; charset=utf-8", "sorry", ""},
		{"none", "upstream_failure", 500, "upstream", "text/plain; charset=utf-8", "sorry", ""},
		{"none", "circuit_open", 503, "error", "application/problem+json", "", "CircuitBreakerError"},
		{"limited", "", 200, "upstream", "text/plain; charset=utf-8", "fine", ""},
		{"limited", "rate_limited", 200, "default", "text/plain; charset=utf-8", "later", ""},
		{"alone", "upstream_failure", 200, "default", "text/plain; charset=utf-8", "no breaker needed", ""},
	} {
		a := w.get(tc.cluster, "/")
		if a.err != nil || a.status != tc.status || a.source() != tc.source || a.reason() != tc.reason || a.header.Get("content-type") != tc.contentType {
			t.Errorf("%s %s: %+v", tc.cluster, tc.reason, a)
		}
		if tc.body != "" && a.body != tc.body {
			t.Errorf("%s %s: body %q, want %q", tc.cluster, tc.reason, a.body, tc.body)
		}
		if tc.title != "" {
			p := problemOf(t, a.body)
			if p.Title != tc.title || p.Status != tc.status || p.Source != tc.source || p.DegradedMode != (tc.source == "degraded") {
				t.Errorf("%s %s: got problem %+v", tc.cluster, tc.reason, p)
			}
			if tc.source == "degraded" && (len(p.Warnings) != 1 || p.Warnings[0] != "prices may be missing") {
				t.Errorf("%s %s: got warnings %q, want the policy's one", tc.cluster, tc.reason, p.Warnings)
			}
			if tc.cluster == "none" && (len(p.Warnings) != 1 || p.Warnings[0] != "FallbackError: no fallback had an answer") {
				t.Errorf("%s %s: got warnings %q, want FallbackError alone", tc.cluster, tc.reason, p.Warnings)
			}
		}
		used := tc.source == "default" || tc.source == "degraded"
		if (a.header.Get("x-weir-fallback-used") == "true") != used || (a.header.Get("x-weir-degraded-mode") == "true") != (tc.source == "degraded") {
			t.Errorf("%s %s: got marks %v, want those of the source", tc.cluster, tc.reason, a.header)
		}
	}
	head := w.do(w.request(t.Context(), "HEAD", "default", "/"))
	if head.err != nil || head.status != 203 || head.body != "" || head.source() != "default" {
		t.Errorf("HEAD: got %+v, want status 203, source default and no body", head)
	}
	w.WaitMetric(`weir_responses_total{cluster="default",source="default"}`, engine.Exactly(4))
	w.WaitMetric(`weir_responses_total{cluster="degraded",source="degraded"}`, engine.Exactly(3))
	w.WaitMetric(`weir_faults_total`, engine.Exactly(0))
}

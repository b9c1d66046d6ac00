package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestShadow: a policy in shadow decides, counts and labels, and never acts.
func TestShadow(t *testing.T) {
	t.Parallel()
	fine, failing, slow := upstream.New(t), upstream.New(t), upstream.New(t)
	fine.Set(upstream.Body("fine"))
	failing.Set(upstream.Status(500).Body("sorry"))
	slow.Set(upstream.Delay(300 * time.Millisecond))
	w := start(t, `
clusters:
  limit: {mode: shadow, rate_limit: {requests: 1, window_size: 1h, headers: all}}
  breaker:
    mode: shadow
    circuit_breaker: {failure_threshold: 2, recovery_timeout: 1h, timeout: 5s}
    fallback: {enable_cache_fallback: false, default_data: {body: {}}}
  bulkhead: {mode: shadow, bulkhead: {max_concurrent: 1}}
  "off": {mode: "off", rate_limit: {requests: 1, window_size: 1h}}
`, map[string]*upstream.Upstream{"limit": fine, "breaker": failing, "bulkhead": slow, "off": fine})

	for i, reason := range []string{"", "shadow_rate_limited", "shadow_rate_limited"} {
		a := w.get("limit", "/")
		if a.status != 200 || a.body != "fine" || a.source() != "upstream" || a.reason() != reason || a.header.Get("ratelimit") != "" || a.header.Get("retry-after") != "" {
			t.Errorf("limit, request %d: got %+v, want upstream's 200 with its shadow reason and no limit headers", i, a)
		}
	}
	for i, reason := range []string{"shadow_upstream_failure", "shadow_upstream_failure", "shadow_upstream_failure", "shadow_upstream_failure"} {
		if a := w.get("breaker", "/"); a.status != 500 || a.body != "sorry" || a.source() != "upstream" || a.reason() != reason {
			t.Errorf("breaker, request %d: got %+v, want upstream's 500 with its shadow reason", i, a)
		}
	}
	if n := failing.Count(); n != 4 {
		t.Errorf("%d requests reached the upstream behind an open breaker in shadow, want 4", n)
	}
	for _, r := range failing.Requests() {
		if got := r.Header.Get("x-envoy-expected-rq-timeout-ms"); got == "5000" {
			t.Error("got upstream's timeout set by a policy in shadow, want the route's own")
		}
	}
	done := make(chan answer)
	go func() { done <- w.get("bulkhead", "/") }()
	slow.Wait("the first request", func() bool { now, _ := slow.InFlight(); return now == 1 })
	if a := w.get("bulkhead", "/"); a.status != 200 || a.reason() != "shadow_bulkhead_full" {
		t.Errorf("bulkhead: got %+v, want status 200, shadow_bulkhead_full", a)
	}
	if a := <-done; a.status != 200 || a.reason() != "" {
		t.Errorf("bulkhead, first: got %+v, want status 200, no reason", a)
	}
	for range 3 {
		if a := w.get("off", "/"); a.status != 200 || a.source() != "" {
			t.Errorf("off: got %+v, want status 200, no source", a)
		}
	}
	for metric, want := range map[string]float64{
		`cluster="limit",decision="shadow_allowed"`:          1,
		`cluster="limit",decision="shadow_rate_limited"`:     2,
		`cluster="breaker",decision="shadow_circuit_open"`:   2,
		`cluster="bulkhead",decision="shadow_bulkhead_full"`: 1,
		`cluster="limit",decision="rate_limited"`:            0,
	} {
		w.WaitMetric(fmt.Sprintf("weir_requests_total{%s}", metric), engine.Exactly(want))
	}
	w.WaitMetric(`weir_breaker_state{cluster="breaker"}`, engine.Exactly(2))
}

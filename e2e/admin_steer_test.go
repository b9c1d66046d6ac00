package e2e

import (
	"net/http"
	"strings"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

func (a *administered) testForce() {
	t := a.testing()
	a.waitStatus("forced", map[string]any{"circuit_breaker.state": "closed", "circuit_breaker.forced": "auto"})
	before := time.Now()
	a.post("/breaker/forced/open")
	after := time.Now()
	for range 4 { // both workers
		if got := a.send(http.MethodGet, "forced", "/"); got.status != 503 || got.reason() != "circuit_open" || got.header.Get("retry-after") != "" {
			t.Errorf("forced open: got %+v, want status 503, circuit_open, no retry-after", got)
		}
	}
	if n := a.up["forced"].Count(); n != 0 {
		t.Errorf("forced open: %d requests reached the upstream, want 0", n)
	}
	a.waitStatus("forced", map[string]any{
		"circuit_breaker.state": "open", "circuit_breaker.forced": "open", "circuit_breaker.since": during(before, after), "circuit_breaker.cause": "operator",
		"circuit_breaker.retry_after": 0.0, "requests.circuit_open": 4.0,
	})
	a.WaitMetric(`weir_breaker_state{cluster="forced"}`, engine.Exactly(2))
	a.post("/breaker/forced/auto") // the next is a probe, and it closes
	if got := a.times(1, "forced"); got[200] != 1 {
		t.Errorf("probe: got statuses %v, want one 200", got)
	}
	a.waitStatus("forced", map[string]any{"circuit_breaker.state": "closed", "circuit_breaker.forced": "auto", "circuit_breaker.cause": "probes_succeeded"})

	a.post("/breaker/forced/close")
	a.up["forced"].Set(upstream.Status(500))
	if got := a.times(6, "forced"); got[500] != 6 {
		t.Errorf("forced closed: got statuses %v, want 6 x 500", got)
	}
	a.waitStatus("forced", map[string]any{"circuit_breaker.state": "closed", "circuit_breaker.forced": "closed", "circuit_breaker.failure_count": 0.0})
	a.post("/breaker/forced/auto")
	if got := a.times(3, "forced"); got[500] != 2 || got[503] != 1 {
		t.Errorf("automatic again: got statuses %v, want 2 x 500 and one 503", got)
	}
	a.waitStatus("forced", map[string]any{"circuit_breaker.state": "open", "circuit_breaker.opens_total": 2.0})
	// closed -> open by hand, half-open by the probe, closed by it, open by two failures: each once, in counts and in
	// the log.
	for to, n := range map[string]float64{"open": 2, "half_open": 1, "closed": 1} {
		a.WaitMetric(`weir_breaker_transitions_total{cluster="forced",to="`+to+`"}`, engine.Exactly(n))
	}
	if n := strings.Count(a.Logs(), "weir: forced: circuit breaker closed -> open (operator)"); n != 1 {
		t.Errorf("the forced transition was logged %d times, want once", n)
	}
}

func (a *administered) testReset() {
	t := a.testing()
	for _, cluster := range []string{"limited", "keyed", "broken", "retrying", "bulk"} {
		a.post("/reset/" + cluster)
	}
	a.waitStatus("limited", map[string]any{
		"rate_limit.remaining": 5.0, "rate_limit.limited_total": 0.0, "requests.allowed": 0.0, "requests.rate_limited": 0.0, "answers.upstream": 0.0, "answers.error": 0.0,
	})
	if got := a.times(6, "limited"); got[200] != 5 || got[429] != 1 {
		t.Errorf("limited: got statuses %v, want 5 x 200 and one 429", got)
	}
	a.waitStatus("limited", map[string]any{"rate_limit.limited_total": 1.0, "requests.allowed": 5.0, "rate_limit.remaining": 0.0})
	if got := a.times(3, "keyed", "x-tenant", "a"); got[200] != 2 || got[429] != 1 {
		t.Errorf("keyed: got statuses %v, want 2 x 200 and one 429", got)
	}
	a.waitStatus("broken", map[string]any{
		"circuit_breaker.state": "closed", "circuit_breaker.opens_total": 0.0, "circuit_breaker.failure_count": 0.0, "requests.circuit_open": 0.0, "fallback.default": 0.0,
	})
	a.up["broken"].Set(upstream.OK())
	if got := a.send(http.MethodGet, "broken", "/"); got.source() != "upstream" {
		t.Errorf("broken: got %+v, want source upstream", got)
	}
	a.WaitMetric(`weir_breaker_state{cluster="broken"}`, engine.Exactly(0))
	a.waitStatus("retrying", map[string]any{"retry.attempts_total": 0.0, "retry.exhausted_total": 0.0, "retry.budget_remaining": 10.0})
	a.waitStatus("bulk", map[string]any{"bulkhead.rejected_total": 0.0, "bulkhead.in_flight": 0.0})
	// Metrics only grow.
	a.WaitMetric(`weir_requests_total{cluster="limited",decision="rate_limited"}`, engine.Exactly(4))
}

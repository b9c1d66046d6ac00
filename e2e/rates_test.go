package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestBreakerRates: every second request fails, so that never two do in a row; or all are slow.
func TestBreakerRates(t *testing.T) {
	t.Parallel()
	failing, slow, fine := upstream.New(t), upstream.New(t), upstream.New(t)
	var script []upstream.Behaviour
	for range 50 {
		script = append(script, upstream.OK(), upstream.Status(500))
	}
	failing.Script(script...)
	slow.Set(upstream.Delay(60 * time.Millisecond))
	w := start(t, `
clusters:
  failing: {circuit_breaker: {failure_threshold: 1000, recovery_timeout: 1h, failure_rate: {threshold: 0.5, window: 10s, min_calls: 10}}}
  slow: {circuit_breaker: {failure_threshold: 1000, recovery_timeout: 1h, slow_calls: {slower_than: 50ms, threshold: 0.8, window: 10s, min_calls: 10}}}
  fine: {circuit_breaker: {failure_threshold: 1000, failure_rate: {min_calls: 10}, slow_calls: {min_calls: 10}}}
`, map[string]*upstream.Upstream{"failing": failing, "slow": slow, "fine": fine})
	for i := range 20 {
		a := w.get("failing", "/")
		if refused := a.reason() == "circuit_open"; refused != (i >= 10) {
			t.Fatalf("failing, request %d, every second one fails: got %+v, want circuit_open from the 11th on", i+1, a)
		}
	}
	if n := failing.Count(); n != 10 {
		t.Errorf("%d requests reached the failing upstream, want 10, min_calls", n)
	}
	for i := range 12 {
		if a := w.get("slow", "/"); (a.reason() == "circuit_open") != (i >= 10) {
			t.Fatalf("slow, request %d: got %+v, want circuit_open from the 11th on", i+1, a)
		}
	}
	if all := load.Run(t, load.Plan{URL: w.url, Host: "fine", Requests: 500}); len(all.With(200)) != 500 {
		t.Errorf("fine: got statuses %v, want 500 x 200", all.Statuses())
	}
	for _, cluster := range []string{"failing", "slow"} {
		w.WaitMetric(fmt.Sprintf(`weir_breaker_transitions_total{cluster="%s",to="open"}`, cluster), engine.Exactly(1))
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestAdaptive: while the upstream fails the limit goes down to a tenth, and comes back when the upstream is healthy.
func TestAdaptive(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	u.Set(upstream.Status(500))
	w := start(t, `
clusters:
  aws:
    rate_limit: {algorithm: adaptive, requests: 100, window_size: 500ms, adaptive_interval: 200ms, adaptive_min_samples: 5}
`, map[string]*upstream.Upstream{"aws": u})
	admittedWithin := func(d time.Duration) float64 {
		u.Forget()
		load.Run(t, load.Plan{URL: w.url, Host: "aws", Connections: 16, Duration: d, Rate: 400})
		return float64(u.Count()) / (d.Seconds() / 0.5) // a window
	}
	if first := admittedWithin(time.Second); first > 110 {
		t.Errorf("got %v admitted in a window, want about the configured limit of 100", first)
	}
	eventually(t, func() error { // 100 x 0.7^7 < 10
		if low := admittedWithin(time.Second); low > 16 {
			return fmt.Errorf("upstream fails: got %v admitted in a window, want 16 or less", low)
		}
		return nil
	})
	if lowest := admittedWithin(time.Second); lowest < 8 {
		t.Errorf("got %v admitted in a window, want 8 or more: a tenth of the limit is 10", lowest)
	}
	u.Set(upstream.OK())
	eventually(t, func() error { // 10 x 1.2^13 > 100
		if high := admittedWithin(time.Second); high < 80 {
			return fmt.Errorf("upstream is healthy: got %v admitted in a window, want 80 or more", high)
		}
		return nil
	})
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

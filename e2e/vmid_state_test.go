package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestTwoListenersShareABudget: two listeners hold different retry budgets for one cluster, whose upstream fails, and
// are asked in turn. Each retries as long as the shared count of retries is below its own number.
func TestTwoListenersShareABudget(t *testing.T) {
	t.Parallel()
	const policy = "clusters:\n  up: {retry: {max_attempts: 2, base_delay: 1ms, budget: {percent: %d, min_per_second: %d}}}\n"
	u := upstream.New(t)
	u.Set(upstream.Status(http.StatusServiceUnavailable))
	upstreams := map[string]*upstream.Upstream{"up": u}
	small, large := fmt.Sprintf(policy, 0, 1), fmt.Sprintf(policy, 100, 100)
	w := startWith(t, options(t, small, upstreams), withListener(t, "second", options(t, large, upstreams)))
	retries := map[string]int{}
	for range 30 {
		for _, listener := range []string{"traffic", "second"} {
			before := u.Count()
			if a := w.at(listener, "up")(); a.status != http.StatusServiceUnavailable {
				t.Fatalf("%s: got %d, %v, want upstream's 503", listener, a.status, a.err)
			}
			retries[listener] += u.Count() - before - 1
		}
	}
	// 1 a second x 10 s: 10 retries of the shared count, every other one of them the first listener's.
	if s, l := retries["traffic"], retries["second"]; s < 3 || s > 7 || l != 30 {
		t.Errorf("got %d and %d retries of 30 requests each, want about 5 and 30", s, l)
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestTwoListenersShareABreaker: two listeners whose breakers count one rate over windows of other lengths, and with
// other thresholds. A breaker opens when a plugin's own window of the shared count says so, and is then open for both.
func TestTwoListenersShareABreaker(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	upstreams := map[string]*upstream.Upstream{}
	policies := [2]string{"clusters:\n", "clusters:\n"}
	for _, c := range []struct{ name, first, second string }{
		{"length", "threshold: 0.5, window: 60s, min_calls: 40", "threshold: 0.5, window: 30s, min_calls: 20"},
		{"threshold", "threshold: 0.9, window: 60s, min_calls: 20", "threshold: 0.5, window: 60s, min_calls: 20"},
	} {
		upstreams[c.name] = u
		policies[0] += fmt.Sprintf("  %s: {circuit_breaker: {failure_threshold: 1000, failure_rate: {%s}}}\n", c.name, c.first)
		policies[1] += fmt.Sprintf("  %s: {circuit_breaker: {failure_threshold: 1000, failure_rate: {%s}}}\n", c.name, c.second)
	}
	w := startWith(t, options(t, policies[0], upstreams), withListener(t, "second", options(t, policies[1], upstreams)))
	for cluster := range upstreams {
		t.Run(cluster, func(t *testing.T) {
			w := w.in(t)
			ask := func(listener string, status, want int) {
				t.Helper()
				u.Set(upstream.Status(status))
				if a := w.at(listener, cluster)(); a.status != want || (a.reason() == "circuit_open") != (want == 503) {
					t.Fatalf("%s: got %d %s %v, want %d", listener, a.status, a.reason(), a.err, want)
				}
			}
			// 19 calls, of which 12 fail (63 %), most of them seen by the first listener: neither has its min_calls.
			for i := range 19 {
				status := 200
				if i%3 != 0 {
					status = 500
				}
				listener := "traffic"
				if i%4 == 3 {
					listener = "second"
				}
				ask(listener, status, status)
			}
			// The first listener's next call fills the shared window of the second's length, but not its own condition;
			// the second's next one opens the breaker, for both.
			ask("traffic", 500, 500)
			ask("traffic", 500, 500)
			ask("second", 500, 500)
			ask("second", 200, 503)
			ask("traffic", 200, 503)
		})
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

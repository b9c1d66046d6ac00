package e2e

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/check"
	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestSlidingWindowsOverTwoWorkers sends above three limits, from the exact log to the sub-windows, and checks every
// interval of the upstream's own log.
func TestSlidingWindowsOverTwoWorkers(t *testing.T) {
	t.Parallel()
	type limit struct {
		cluster string
		rules   string
		most    int
		window  time.Duration
		rate    float64
		last    time.Duration
	}
	limits := []limit{
		{"ten", "requests: 10, window_size: 1s", 10, time.Second, 150, 5 * time.Second},
		{"many", "requests: 2000, window_size: 1s", 2000, time.Second, 2600, 4 * time.Second},
		{"minute", "requests_per_minute: 100", 100, time.Minute, 20, 66 * time.Second},
	}
	if testing.Short() {
		t.Log("short: the limit of a minute is left out, it needs more than one")
		limits = limits[:2]
	}
	policy := "clusters:\n"
	upstreams := map[string]*upstream.Upstream{}
	for _, l := range limits {
		policy += fmt.Sprintf("  %s: {rate_limit: {algorithm: sliding_window, %s}}\n", l.cluster, l.rules)
		upstreams[l.cluster] = upstream.New(t)
	}
	w := start(t, policy, upstreams)
	for _, l := range limits {
		t.Run(l.cluster, func(t *testing.T) {
			t.Parallel()
			w, u := &weir{Envoy: w.Envoy, t: t, url: w.url}, upstreams[l.cluster]
			all := load.Run(t, load.Plan{URL: w.url, Host: l.cluster, Number: l.cluster + "-", Rate: l.rate, Duration: l.last})
			for _, failed := range all.Failed() {
				t.Errorf("request %s failed: %v", failed.Number, failed.Err)
			}
			sent, statuses := all.StartByNumber(), all.Statuses()
			requests := u.Requests()
			if statuses[200] != len(requests) || statuses[200]+statuses[429] != len(sent) {
				t.Fatalf("got %d sent, statuses %v and %d seen by the upstream, want as many 200 as it saw and the rest 429", len(sent), statuses, len(requests))
			}
			spans := make([]check.Span, len(requests))
			for i, r := range requests {
				spans[i] = check.Span{From: sent[r.Header.Get(load.NumberHeader)], To: r.Arrived}
			}
			if most := check.MostWithin(spans, l.window); most > l.most {
				t.Errorf("got %d requests within %v, want at most %d", most, l.window, l.most)
			}
			// And not too few: all of the limit in each window, as far as the load reached it.
			windows := float64(l.last) / float64(l.window)
			asked := float64(len(sent)) / l.last.Seconds()
			possible := min(float64(l.most)/l.window.Seconds(), asked) * l.last.Seconds()
			if windows < 2 { // a sliding window opens in one go: what was admitted at once comes back at once
				possible = float64(l.most)
			}
			if float64(len(requests)) < 0.8*possible { // the rest is for a machine that stalls
				t.Errorf("got %d admitted, want at least four fifths of %.0f", len(requests), possible)
			}
			t.Logf("%d asked, %d admitted in %v", len(sent), len(requests), l.last)
		})
	}
	t.Cleanup(func() {
		w.t = t
		w.WaitMetric("weir_faults_total", engine.Exactly(0))
	})
}

// TestWindowHeadersAreTrue counts down the remaining requests, and sends again when the headers say so.
func TestWindowHeadersAreTrue(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	w := start(t, `
clusters:
  aws: {rate_limit: {algorithm: sliding_window, requests: 3, window_size: 2s, headers: all}}
`, map[string]*upstream.Upstream{"aws": u})
	first := time.Now()
	for left := 2; left >= 0; left-- {
		a := w.get("aws", "/")
		if a.status != 200 || a.header.Get("ratelimit-policy") != `"aws";q=3;w=2` || a.header.Get("x-ratelimit-remaining") != strconv.Itoa(left) {
			t.Fatalf("%d left: got %+v, want status 200 with that many remaining", left, a)
		}
	}
	a := w.get("aws", "/")
	if a.status != 429 || a.header.Get("x-ratelimit-remaining") != "0" {
		t.Fatalf("none left: got %+v, want status 429 with 0 remaining", a)
	}
	wait, err := strconv.Atoi(a.header.Get("retry-after"))
	if err != nil || wait < 1 || wait > 2 {
		t.Fatalf("got Retry-After %q (%v), want 1 or 2", a.header.Get("retry-after"), err)
	}
	eventually(t, func() error {
		if a := w.get("aws", "/"); a.status != 200 {
			return fmt.Errorf("got no admission %v after the first", time.Since(first))
		}
		return nil
	})
	if after := time.Since(first); after < 1900*time.Millisecond || after > 4*time.Second {
		t.Errorf("admitted again %v after the first, want the window of 2 s", after)
	}
}

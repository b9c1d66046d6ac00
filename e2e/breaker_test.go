package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestBreakerOverTwoWorkers lets a failing upstream open the breaker under 64 connections, and follows it through open
// and half-open back to closed, by the upstream's own count.
func TestBreakerOverTwoWorkers(t *testing.T) {
	t.Parallel()
	const recovery = 1500 * time.Millisecond
	u := upstream.New(t)
	w := start(t, `
clusters:
  aws:
    circuit_breaker: {failure_threshold: 5, recovery_timeout: 1.5s, success_threshold: 3, half_open_max_calls: 2, timeout: 5s}
`, map[string]*upstream.Upstream{"aws": u})
	transitions := func(to string, n float64) {
		t.Helper()
		w.WaitMetric(fmt.Sprintf(`weir_breaker_transitions_total{cluster="aws",to="%s"}`, to), engine.Exactly(n))
	}
	count := func(to string) float64 {
		return w.Prometheus()[fmt.Sprintf(`weir_breaker_transitions_total{cluster="aws",to="%s"}`, to)]
	}
	state := func(n float64) {
		t.Helper()
		w.WaitMetric(`weir_breaker_state{cluster="aws"}`, engine.Exactly(n))
	}
	send := func(p load.Plan) load.Answers {
		t.Helper()
		p.URL, p.Host = w.url, "aws"
		answers := load.Run(t, p)
		for _, failed := range answers.Failed() {
			t.Fatalf("a request failed: %v", failed.Err)
		}
		return answers
	}

	// Closed: successes and failures in turn never add up to 5 in a row from one client.
	u.Script(upstream.Status(500), upstream.Status(500), upstream.Status(500), upstream.Status(500), upstream.OK(),
		upstream.Status(500), upstream.Status(500), upstream.Status(500), upstream.Status(500), upstream.OK())
	send(load.Plan{Connections: 1, Requests: 10})
	transitions("open", 0)

	// Opening: the first 4 failures leave it closed, and their clients ask again; with the fifth it is open, and no
	// more reach the upstream than the 64 that are on their way.
	u.Forget()
	u.Set(upstream.Status(500).After(20 * time.Millisecond))
	opening := send(load.Plan{Connections: 64, Requests: 640})
	transitions("open", 1)
	opened := time.Now() // it opened before this
	state(2)
	if n := u.Count(); n < 5 || n > 64+4 {
		t.Errorf("%d requests reached the upstream while it opened, want 5 to 68", n)
	}
	if own := opening.With(500); len(own) != u.Count() {
		t.Errorf("%d clients saw upstream's 500, want %d, as many as it sent", len(own), u.Count())
	}

	// Open: nothing reaches the upstream.
	u.Forget()
	open := send(load.Plan{Connections: 64, Requests: 2000})
	if time.Since(opened) > recovery/2 {
		t.Logf("2,000 refusals took %v: too slow a machine to look at the open state alone", time.Since(opened))
	} else if n := u.Count(); n != 0 || len(open.With(503)) != 2000 {
		t.Errorf("open: %d requests reached the upstream, want 0; got statuses %v, want 2000 x 503", n, open.Statuses())
	}
	for _, a := range open.With(503)[:1] {
		if a.Header.Get("x-weir-reason") != "circuit_open" || a.Header.Get("retry-after") != "2" && a.Header.Get("retry-after") != "1" {
			t.Errorf("open: refused with %v, want circuit_open and retry-after 1 or 2", a.Header)
		}
	}

	// Half-open, upstream still fails: a probe's failure opens it again, and no half-open lets more than two through.
	u.Forget()
	eventually(t, func() error {
		send(load.Plan{Connections: 64, Requests: 64})
		if u.Count() == 0 {
			return fmt.Errorf("got no probe %v after the breaker opened", time.Since(opened))
		}
		return nil
	})
	if waited := u.Arrivals()[0].Sub(opened); waited < recovery-500*time.Millisecond {
		t.Errorf("the first probe came %v after the breaker opened, want 1 s or more", waited)
	}
	u.WaitIdle()
	eventually(t, func() error { // it was half-open as often as it opened again, seldom more than once on a slow machine
		probes, halfOpened := u.Count(), count("half_open")
		if count("open") != 1+halfOpened || halfOpened == 0 {
			return fmt.Errorf("got %v transitions to open and %v to half_open, want one more to open", count("open"), halfOpened)
		}
		if float64(probes) > 2*halfOpened {
			return fmt.Errorf("got %d probes in %v times half-open, want at most 2 each", probes, halfOpened)
		}
		return nil
	})

	// Half-open, upstream is healthy: never more than two at the same time, and three successes close it.
	u.Forget()
	u.Set(upstream.Delay(30 * time.Millisecond))
	eventually(t, func() error {
		send(load.Plan{Connections: 8, Requests: 8})
		if count("closed") == 0 {
			if _, most := u.InFlight(); most > 2 {
				t.Fatalf("got %d probes at the same time, want at most 2", most)
			}
			return fmt.Errorf("got no transition to closed yet")
		}
		return nil
	})
	transitions("closed", 1)
	state(0)
	if count("open") != count("half_open") {
		t.Errorf("got %v transitions to open and %v to half_open, want as many", count("open"), count("half_open"))
	}
	if all := send(load.Plan{Connections: 64, Requests: 640}); len(all.With(200)) != 640 {
		t.Errorf("closed again: got statuses %v, want 640 x 200", all.Statuses())
	}
	w.WaitMetric(`weir_faults_total`, engine.Exactly(0))
}

// TestProbesOfClientsThatLeave: a half-open probe whose client leaves says nothing of the upstream, and gives its place
// back.
func TestProbesOfClientsThatLeave(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	w := start(t, `
clusters:
  aws:
    circuit_breaker: {failure_threshold: 1, recovery_timeout: 200ms, success_threshold: 1, half_open_max_calls: 1}
`, map[string]*upstream.Upstream{"aws": u})
	u.Set(upstream.Status(500))
	w.get("aws", "/")
	u.Set(upstream.Hang())
	u.Forget()
	eventually(t, func() error { // the one probe, and its client leaves
		if a := w.leave("aws", "/", 100*time.Millisecond); a.reason() == "circuit_open" {
			return fmt.Errorf("got %+v, want an admitted probe", a)
		}
		return nil
	})
	u.WaitClientsGone(1)
	u.Set(upstream.OK())
	eventually(t, func() error { // it knows nothing more than before, but its place is free
		if a := w.get("aws", "/"); a.status != 200 {
			return fmt.Errorf("got %+v, want status 200: the probe's permit must come back", a)
		}
		return nil
	})
	w.WaitMetric(`weir_breaker_transitions_total{cluster="aws",to="closed"}`, engine.Exactly(1))
	w.WaitMetric(`weir_breaker_transitions_total{cluster="aws",to="open"}`, engine.Exactly(1))
}

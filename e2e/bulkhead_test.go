package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestBulkheadOverTwoWorkers: 64 clients, of which some leave early, and an upstream that is slow: by its own count
// never more than 10 run, all places come back, and all 10 are used.
func TestBulkheadOverTwoWorkers(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	w := start(t, `
clusters:
  aws: {bulkhead: {max_concurrent: 10}}
`, map[string]*upstream.Upstream{"aws": u})
	u.Set(upstream.Delay(30 * time.Millisecond))
	for _, leave := range []float64{0, 0.3} {
		answers := load.Run(t, load.Plan{
			URL: w.url, Host: "aws", Connections: 64, Duration: 2 * time.Second, Rate: 1000,
			LeaveEarly: leave, LeaveAfter: 40 * time.Millisecond, Seed: 1,
		})
		if failed := answers.Failed(); len(failed) > 0 {
			t.Fatalf("a request failed: %v", failed[0].Err)
		}
		statuses := answers.Statuses()
		if statuses[200] == 0 || statuses[503] == 0 || len(statuses) != 2 {
			t.Errorf("got statuses %v, want some 200, some 503 and no others", statuses)
		}
		for _, a := range answers.With(503)[:1] {
			if a.Header.Get("x-weir-reason") != "bulkhead_full" || problemOf(t, a.Body).Title != "BulkheadFull" {
				t.Errorf("refused with %v %s, want bulkhead_full and title BulkheadFull", a.Header, a.Body)
			}
		}
		u.WaitIdle()
	}
	// A client that left may still be running at the upstream while its place is free again: what Envoy has ended and
	// the upstream has not seen yet. So the limit is checked where no client leaves.
	u.Forget()
	answers := load.Run(t, load.Plan{URL: w.url, Host: "aws", Connections: 64, Duration: 2 * time.Second, Rate: 1000})
	if _, most := u.InFlight(); most != 10 {
		t.Errorf("%d ran at one time, want 10; statuses %v", most, answers.Statuses())
	}
	// All places are free: ten at one time get through again.
	u.WaitIdle()
	if answers := load.Run(t, load.Plan{URL: w.url, Host: "aws", Connections: 10, Requests: 10}); len(answers.With(200)) != 10 {
		t.Errorf("places leaked: got statuses %v, want 10 x 200", answers.Statuses())
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestBulkheadHoldsWhileItLasts: what is upgraded, and what never ends, counts until it is gone; what another worker of
// the same Envoy holds counts as well, longer than a share without a sign of life does.
func TestBulkheadHoldsWhileItLasts(t *testing.T) {
	t.Parallel()
	socket, stream := upstream.New(t), upstream.New(t)
	socket.Set(upstream.WebSocketEcho())
	stream.Set(upstream.Func(headersThenNothing))
	w := start(t, `
clusters:
  socket: {bulkhead: {max_concurrent: 4}, circuit_breaker: {timeout: 100ms}}
  stream: {bulkhead: {max_concurrent: 1}}
`, map[string]*upstream.Upstream{"socket": socket, "stream": stream})

	dial := func() (*websocket.Conn, error) {
		conn, _, err := websocket.Dial(t.Context(), strings.Replace(w.url, "http", "ws", 1)+"/", &websocket.DialOptions{Host: "socket"})
		return conn, err
	}
	var open []*websocket.Conn
	for range 4 {
		conn, err := dial()
		if err != nil {
			t.Fatalf("got %d connections of 4: %v", len(open), err)
		}
		open = append(open, conn)
	}
	ctx, leave := context.WithCancel(t.Context())
	streaming := make(chan answer)
	go func() { streaming <- w.do(w.request(ctx, "GET", "stream", "/")) }()
	stream.Wait("the stream", func() bool { now, _ := stream.InFlight(); return now == 1 })

	full := func() {
		t.Helper()
		if conn, err := dial(); err == nil {
			t.Error("a fifth connection was admitted, want it refused")
			_ = conn.CloseNow()
		}
		if a := w.get("stream", "/"); a.reason() != "bulkhead_full" {
			t.Errorf("second stream: got %+v, want bulkhead_full", a)
		}
	}
	full()
	if !testing.Short() {
		// Beyond the 5 s after which a share without a sign of life would be dropped.
		for until := time.Now().Add(7 * time.Second); time.Now().Before(until); time.Sleep(500 * time.Millisecond) {
			full()
		}
	}
	for i, conn := range open {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte("still here")); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	_ = open[0].CloseNow()
	eventually(t, func() error {
		conn, err := dial()
		if err != nil {
			return fmt.Errorf("the place of a closed connection did not come back: %w", err)
		}
		t.Cleanup(func() { _ = conn.CloseNow() })
		return nil
	})
	leave()
	<-streaming
	stream.Set(upstream.OK())
	eventually(t, func() error {
		if a := w.get("stream", "/"); a.status != 200 {
			return fmt.Errorf("got %+v, want status 200: the place of a stream whose client left must come back", a)
		}
		return nil
	})
	for _, conn := range open[1:] {
		_ = conn.CloseNow()
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestBulkheadOverReload: what began under the old policy still counts under the new one, for as long as it lasts.
func TestBulkheadOverReload(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	u.Set(upstream.Func(headersThenNothing))
	policy := func(header string) string {
		return "clusters: {aws: {bulkhead: {max_concurrent: 2}, rate_limit: {requests: 1000000, window_size: 1h, headers: " + header + "}}}"
	}
	w := startWatched(t, policy("none"), map[string]*upstream.Upstream{"aws": u})
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan answer, 2)
	for range 2 {
		go func() { done <- w.do(w.request(ctx, "GET", "aws", "/")) }()
	}
	u.Wait("two streams", func() bool { now, _ := u.InFlight(); return now == 2 })
	w.replace(policy("refused"), "config_reload")
	last := 2 * time.Second
	if !testing.Short() {
		last = 8 * time.Second // a share without a sign of life is dropped after 5 s
	}
	for until := time.Now().Add(last); time.Now().Before(until); time.Sleep(200 * time.Millisecond) {
		if a := w.get("aws", "/"); a.reason() != "bulkhead_full" {
			t.Fatalf("a third request beside two that began under the old policy: got %+v, want bulkhead_full", a)
		}
	}
	leave()
	<-done
	<-done
	u.Set(upstream.OK())
	eventually(t, func() error {
		if a := w.get("aws", "/"); a.status != 200 {
			return fmt.Errorf("got %+v, want status 200: the places must come back", a)
		}
		return nil
	})
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestBulkheadOverACrash: a worker's VM crashes while it holds places. By the upstream's own count never more than 10
// run, before, during and after; and when the dead worker's share is over, all 10 are used again.
func TestBulkheadOverACrash(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	u.Set(upstream.Delay(100 * time.Millisecond))
	w := startCrashing(t, "clusters: {aws: {bulkhead: {max_concurrent: 10}}}", map[string]*upstream.Upstream{"aws": u, "plain": upstream.New(t)})
	clients, _ := workers(t, func(c *http.Client) string { return w.ask(c, "plain", "").header.Get(vmHeader) })

	loaded := make(chan load.Answers)
	go func() {
		loaded <- load.Run(t, load.Plan{URL: w.url, Host: "aws", Connections: 64, Duration: 9 * time.Second, Rate: 300})
	}()
	u.Wait("a full bulkhead", func() bool { now, _ := u.InFlight(); return now == 10 })
	// Every one of these takes a place, or is refused; the VM dies when upstream answers it, with all that it holds.
	eventually(t, func() error {
		if a := w.ask(clients[0], "aws", "response"); a.reason() == "bulkhead_full" {
			return fmt.Errorf("got %+v, want a place for the request that crashes", a)
		}
		return nil
	})
	crashed := time.Now()
	w.WaitStat("wasm.weir.vm_reload_success", engine.AtLeast(1))
	answers := <-loaded
	if _, most := u.InFlight(); most != 10 {
		t.Errorf("%d ran at one time, want 10; statuses %v", most, answers.Statuses())
	}
	t.Logf("%v after the crash the load ended; statuses %v", time.Since(crashed).Round(time.Millisecond), answers.Statuses())
	// The dead worker's share is over after 5 s: all 10 places are there again.
	u.WaitIdle()
	eventually(t, func() error {
		u.Forget()
		if answers := load.Run(t, load.Plan{URL: w.url, Host: "aws", Connections: 10, Requests: 10}); len(answers.With(200)) != 10 {
			return fmt.Errorf("got statuses %v, want 10 x 200", answers.Statuses())
		}
		return nil
	})
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

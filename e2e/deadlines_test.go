package e2e

import (
	"fmt"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"

	"github.com/weir-mesh/weir/e2e/upstream"
)

// deadlinesOfClients are headers by which a client has its request ended after 20 ms. Envoy obeys them, but for the last two, of
// clients with an internal address.
var deadlinesOfClients = []struct {
	lines  string
	obeyed bool
}{
	{"x-envoy-upstream-rq-timeout-ms: 20", true},
	{"x-envoy-upstream-rq-per-try-timeout-ms: 20", true},
	{"x-envoy-upstream-rq-timeout-alt-response: 1\r\nx-envoy-upstream-rq-timeout-ms: 20", true},
	{"x-envoy-hedge-on-per-try-timeout: true\r\nx-envoy-upstream-rq-per-try-timeout-ms: 20", true},
	{"x-envoy-upstream-stream-duration-ms: 20", true},
	{"x-envoy-expected-rq-timeout-ms: 20", false},
	{"grpc-timeout: 20m", false},
}

// TestDeadlinesOfClients: a deadline that a client chooses opens no breaker, whose probe it does not fail: upstream is slower than
// that, but well.
func TestDeadlinesOfClients(t *testing.T) {
	t.Parallel()
	policy, upstreams := "clusters:\n", map[string]*upstream.Upstream{}
	for i := range deadlinesOfClients {
		cluster := fmt.Sprint("up-", i)
		policy += fmt.Sprintf(`
  %s:
    circuit_breaker: {failure_threshold: 2, recovery_timeout: 300ms, success_threshold: 1, half_open_max_calls: 1}
    rate_limit: {algorithm: adaptive, requests: 1000, window_size: 60s, adaptive_interval: 100ms, adaptive_min_samples: 2}
`, cluster)
		upstreams[cluster] = upstream.New(t)
		upstreams[cluster].When(upstream.Path("/fail"), upstream.Status(500))
		upstreams[cluster].When(upstream.Path("/quick"), upstream.Status(200))
		upstreams[cluster].Set(upstream.Delay(200 * time.Millisecond))
	}
	for _, internal := range []bool{false, true} {
		var changes []func(*bootstrapv3.Bootstrap)
		if internal {
			changes = append(changes, trustClients(t))
		}
		o := options(t, policy, upstreams)
		withAdmin(&o)
		w := startWith(t, o, changes...)
		for i, deadline := range deadlinesOfClients {
			t.Run(fmt.Sprintf("internal %t/%s", internal, deadline.lines), func(t *testing.T) {
				w, cluster := w.in(t), fmt.Sprint("up-", i)
				hurries := func() (a answer) {
					return w.raw("GET", fmt.Sprintf("GET / HTTP/1.1\r\nhost: %s\r\nconnection: close\r\n%s\r\n\r\n", cluster, deadline.lines))
				}
				for range 4 {
					if a := hurries(); (a.status == 200) == (internal && deadline.obeyed) {
						t.Errorf("got %d %q, want it ended: %t", a.status, a.reason(), internal && deadline.obeyed)
					}
				}
				w.console().waitStatus(cluster, map[string]any{
					"circuit_breaker.state": "closed", "circuit_breaker.failure_count": 0, "circuit_breaker.opens_total": 0, "rate_limit.requests_per_minute": 1000,
				})
				for range 2 {
					w.get(cluster, "/fail")
				}
				eventually(t, func() error { // the only place of a half-open breaker is given back
					if a := hurries(); a.reason() == "circuit_open" {
						return fmt.Errorf("after recovery_timeout: got %d %q, want it admitted", a.status, a.reason())
					}
					return nil
				})
				w.console().waitStatus(cluster, map[string]any{"circuit_breaker.opens_total": 1})
				if a := w.get(cluster, "/quick"); a.status != 200 {
					t.Errorf("after a probe with a deadline: got %d %q, want 200", a.status, a.reason())
				}
				w.console().waitStatus(cluster, map[string]any{"circuit_breaker.state": "closed"})
			})
		}
		if faults := w.Prometheus()["weir_faults_total"]; faults != 0 {
			t.Errorf("internal %t: got %v faults, want 0", internal, faults)
		}
	}
}

// TestDeadlinesOpenTheBreaker: an upstream that hangs does not get away because all its clients have deadlines, where these leave it
// min_client_deadline.
func TestDeadlinesOpenTheBreaker(t *testing.T) {
	t.Parallel()
	up := upstream.New(t)
	up.Set(upstream.Hang())
	w := startWith(t, options(t, `
clusters:
  fair: {circuit_breaker: {failure_threshold: 2, recovery_timeout: 1h, min_client_deadline: 100ms}}
  unfair: {circuit_breaker: {failure_threshold: 2, recovery_timeout: 1h, min_client_deadline: 400ms}}
  timed: {circuit_breaker: {failure_threshold: 2, recovery_timeout: 1h, timeout: 100ms}}
`, map[string]*upstream.Upstream{"fair": up, "unfair": up, "timed": up}), trustClients(t))
	for cluster, opens := range map[string]bool{"fair": true, "unfair": false, "timed": true} {
		for range 3 {
			w.raw("GET", "GET / HTTP/1.1\r\nhost: "+cluster+"\r\nconnection: close\r\nx-envoy-upstream-rq-timeout-ms: 150\r\n\r\n")
		}
		a := w.raw("GET", "GET / HTTP/1.1\r\nhost: "+cluster+"\r\nconnection: close\r\nx-envoy-upstream-rq-timeout-ms: 150\r\n\r\n")
		if (a.reason() == "circuit_open") != opens {
			t.Errorf("%s, after 3 requests with a deadline of 150 ms: got %d %q, want the breaker open: %t", cluster, a.status, a.reason(), opens)
		}
	}
}

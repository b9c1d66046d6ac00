package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// TestReloadWhileRequestsWait: requests that wait while the policy is replaced, for their next attempt or for Redis, go
// on by the policy that they began under; their places in the bulkhead come back, and none of them is lost.
func TestReloadWhileRequestsWait(t *testing.T) {
	if testing.Short() {
		t.Skip("one engine is enough for this")
	}
	t.Parallel()
	const requests = 40
	held := upstream.New(t)
	held.ScriptAttempts(numberHeader, upstream.Any, upstream.Status(503), upstream.OK())
	ups := map[string]*upstream.Upstream{"held": held}
	m := newMesh(t)
	bridge := m.bridges[0]
	document := func(clusters string) string {
		return fmt.Sprintf("clusters:\n%s\nredis: {dialect: %s, token: %q, timeout: 2500ms, on_error: local}\n", clusters, bridge.Dialect(), meshToken)
	}
	const place = "bulkhead: {max_concurrent: 100}"
	retried := func(delay string) string {
		return "  held: {" + place + ", circuit_breaker: {failure_threshold: 1000}, " + retryRules("filter", "max_attempts: 2, jitter: false, base_delay: "+delay) + "}\n"
	}
	shared := func(n int) string {
		return fmt.Sprintf("  waits-*: {%s, rate_limit: {algorithm: sliding_window, scope: mesh, requests: %d, window_size: 60s}}", place, n)
	}
	changes := []struct{ name, clusters string }{
		{"another delay and limit", retried("5s") + shared(2000)},
		{"no retry, and a limit of its own", "  held: {" + place + "}\n  waits-*: {" + place + ", rate_limit: {requests: 1000, window_size: 60s}}"},
		{"clusters without a policy", "  other: {}"},
	}
	for i := range changes {
		ups[waiting(i)] = upstream.New(t)
	}
	first := document(retried("1s") + shared(1000))
	w := startWatched(t, first, ups, withAdmin, func(o *render.Options) {
		o.Redis = &render.Upstream{Name: "redis_http", Host: "127.0.0.1", Port: uint32(bridge.Port)}
	})
	c := w.console()
	for i, tc := range changes {
		t.Run(tc.name, func(t *testing.T) {
			w := w.in(t)
			held.Forget()
			over := make(chan struct{})
			began := time.Now()
			go func() {
				defer close(over)
				many(t, requests, 1000, func(int) error { return w.expect("held", 200, "") })
			}()
			held.WaitCount(requests)
			w.replace(document(tc.clusters), "config_reload")
			if held.Count() != requests {
				t.Errorf("the policy was replaced after %v, want all requests waiting then", time.Since(began))
			}
			<-over
			if got := len(byNumber(held)); got != requests || held.Count() != 2*requests {
				t.Errorf("%d requests were tried %d times, want %d twice", got, held.Count(), requests)
			}
			for _, m := range measuredAt(held) {
				if m.delay() < 985*ms || m.delay() > 2*time.Second {
					t.Errorf("request %s: second attempt after %v, want 1s, as the policy that it began under says", m.id, m.delay())
				}
			}
			w.replace(first, "config_reload")

			if m.server == nil {
				t.Log("NOT CHECKED: no redis-server is installed, so that none can be stopped while requests wait for it")
				return
			}
			waits := ups[waiting(i)] // of which there is no lease yet
			m.server.Pause(t)
			over, began = make(chan struct{}), time.Now()
			go func() {
				defer close(over)
				many(t, requests, 1000, func(int) error { return w.expect(waiting(i), 200, "") })
			}()
			w.WaitStat("http.weir.downstream_rq_active", engine.Exactly(requests))
			w.replace(document(tc.clusters), "config_reload")
			if n := waits.Count(); n != 0 {
				t.Errorf("%d requests did not wait for Redis, want 0", n)
			}
			m.server.Continue(t)
			<-over
			t.Logf("requests that waited for Redis went on after %v", time.Since(began).Round(ms))
			if n := waits.Count(); n != requests {
				t.Errorf("got %d of %d requests at the upstream, want all", n, requests)
			}
			w.replace(first, "config_reload")
			for _, cluster := range []string{"held", waiting(i)} {
				c.waitStatus(cluster, map[string]any{"bulkhead.in_flight": 0.0})
				w.WaitMetric(`weir_in_flight{cluster="`+cluster+`"}`, engine.Exactly(0))
			}
		})
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// waiting is the cluster of the i-th change whose requests wait for Redis.
func waiting(i int) string { return fmt.Sprintf("waits-%d", i) }

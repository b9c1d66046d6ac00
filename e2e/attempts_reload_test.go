package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// TestAttemptsOverReloads: attempts that are in flight while the policy, or the traffic's and the internal listener, are
// replaced arrive once, and their responses reach the clients; later attempts go through the new listener.
func TestAttemptsOverReloads(t *testing.T) {
	if testing.Short() {
		t.Skip("one engine is enough for this")
	}
	t.Parallel()
	const requests = 40
	u := upstream.New(t)
	u.ScriptAttempts(numberHeader, upstream.Any, upstream.Status(503).Body("first"), upstream.Body("second").After(time.Second))
	ups := map[string]*upstream.Upstream{"held": u}
	document := func(more string) string {
		return fmt.Sprintf("clusters: {held: {bulkhead: {max_concurrent: 100}, circuit_breaker: {failure_threshold: 1000}, %s%s}}", retryRules("filter", "max_attempts: 2, jitter: false"), more)
	}
	listen := address(t)
	first := document("")
	var options render.Options
	w := startWatched(t, first, ups, withAdmin, func(o *render.Options) {
		o.Listen, o.Admin = listen, address(t)
		o.LDS = filepath.Join(filepath.Dir(o.ECDS), "listeners.yaml")
		options = *o
		if err := os.WriteFile(o.LDS, listenersOf(t, *o), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	w.url = "http://" + listen
	changes := []struct {
		name   string
		change func()
	}{
		{"policy", func() { w.replace(document(", rate_limit: {requests: 100000}"), "config_reload") }},
		{"listeners", func() {
			before := w.Stats()["listener_manager.lds.update_success"]
			w.ReplaceFile(options.LDS, otherListeners(t, options))
			w.WaitStat("listener_manager.lds.update_success", engine.AtLeast(before+1))
		}},
		{"policy without retries", func() { w.replace("clusters: {held: {bulkhead: {max_concurrent: 100}}}", "config_reload") }},
	}
	for _, tc := range changes {
		t.Run(tc.name, func(t *testing.T) {
			w := w.in(t)
			u.Forget()
			over := make(chan struct{})
			go func() {
				defer close(over)
				many(t, requests, 1000, func(int) error {
					r, _ := w.numberedRequest("GET", "held", "/")
					if a := w.do(r); a.status != 200 || a.body != "second" || a.source() != "upstream" {
						return fmt.Errorf("got %+v, want the second response", a)
					}
					return nil
				})
			}()
			u.WaitCount(requests + requests/2) // half of the further attempts are in flight, at least
			tc.change()
			<-over
			if got := len(byNumber(u)); got != requests || u.Count() != 2*requests {
				t.Errorf("%d requests were tried %d times, want %d twice", got, u.Count(), requests)
			}
			w.console().waitStatus("held", map[string]any{"bulkhead.in_flight": 0.0})
		})
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// otherListeners are the same listeners with other limits, which replaces them: their connections are drained.
func otherListeners(t *testing.T, o render.Options) []byte {
	t.Helper()
	response, err := render.LDS(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, packed := range response.GetResources() {
		var l listenerv3.Listener
		if err := packed.UnmarshalTo(&l); err != nil {
			t.Fatal(err)
		}
		l.PerConnectionBufferLimitBytes = wrapperspb.UInt32(512 << 10)
		if err := packed.MarshalFrom(&l); err != nil {
			t.Fatal(err)
		}
	}
	return asFile(t, response, nil)
}

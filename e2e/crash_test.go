package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// TestCrash makes each worker's VM crash, before and after the filter has decided about a request. The crashing request
// gets 503, a new VM serves those that follow, and no limit, no breaker and no probe's place forgets what it was.
func TestCrash(t *testing.T) {
	t.Parallel()
	const burst, probeTimeout = 12, 3 * time.Second
	aws, failing, probed := upstream.New(t), upstream.New(t), upstream.New(t)
	w := startCrashing(t, `
clusters:
  aws:
    rate_limit: {algorithm: token_bucket, burst_capacity: 12, refill_rate: 0.001, headers: all}
  failing:
    circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}
  probed:
    circuit_breaker: {failure_threshold: 1, recovery_timeout: 100ms, success_threshold: 1, half_open_max_calls: 1, timeout: 3s}
`, map[string]*upstream.Upstream{"aws": aws, "failing": failing, "probed": probed, "plain": upstream.New(t)})
	clients, vms := workers(t, func(c *http.Client) string { return w.ask(c, "plain", "").header.Get(vmHeader) })

	// The state as one worker has it: spent tokens are still spent, and the open breaker is still open.
	spent := 0
	checkState := func(c *http.Client) {
		t.Helper()
		spent++
		a := w.ask(c, "aws", "")
		if got, want := a.header.Get("x-ratelimit-remaining"), fmt.Sprint(burst-spent); a.status != 200 || got != want {
			t.Errorf("limit: %d with %q remaining, want 200 with %s", a.status, got, want)
		}
		if a := w.ask(c, "failing", ""); a.status != 503 || a.reason() != "circuit_open" {
			t.Errorf("breaker: %+v, want it open", a)
		}
	}
	failing.Set(upstream.Status(500))
	if a := w.ask(clients[0], "failing", ""); a.status != 500 {
		t.Fatalf("the failure that opens the breaker: got %+v, want status 500", a)
	}
	for _, c := range clients {
		checkState(c)
	}

	crashes := 0
	for i, c := range clients {
		for _, when := range []string{"request", "response"} {
			a := w.ask(c, "aws", when)
			crashed := time.Now()
			crashes++
			if when == "response" {
				spent++ // its token was spent, and nobody gives it back
			}
			if a.err != nil || a.status != 503 || a.source() != "" || a.header.Get(vmHeader) != "" {
				t.Fatalf("worker %d, crash at the %s: %+v, want Envoy's own 503", i, when, a)
			}
			other := 1 - i
			if a := w.ask(clients[other], "plain", ""); a.status != 200 || a.header.Get(vmHeader) != vms[other] {
				t.Errorf("worker %d crashed: got from worker %d %+v, want status 200 from the same VM", i, other, a)
			}
			vm := w.served(c)
			if vm == vms[i] {
				t.Fatalf("worker %d: got a response of VM %s, which has crashed", i, vm)
			}
			t.Logf("worker %d, crash at the %s: VM %s was replaced by %s after %v", i, when, vms[i], vm, time.Since(crashed).Round(time.Millisecond))
			vms[i] = vm
			checkState(c)
		}
	}
	w.WaitStat("wasm.weir.vm_reload_success", engine.Exactly(float64(crashes)))
	w.WaitLog("weir-test-crash: request")
	w.WaitLog("weir-test-crash: response")

	// What is left of the limit is admitted, and no more.
	for i := range 2 * burst {
		want := 200
		if spent++; spent > burst {
			want = 429
		}
		if a := w.ask(clients[i%2], "aws", ""); a.status != want {
			t.Errorf("request %d of a limit of %d: %d, want %d", spent, burst, a.status, want)
		}
	}
	if aws.Count() != burst || failing.Count() != 1 {
		t.Errorf("upstreams got %d and %d requests, want %d and 1", aws.Count(), failing.Count(), burst)
	}

	// A probe is lost with its VM. Its place comes back when its time is over, and not before.
	probed.Script(upstream.Status(500), upstream.OK())
	if a := w.ask(clients[0], "probed", ""); a.status != 500 {
		t.Fatalf("the failure that opens the breaker: got %+v, want status 500", a)
	}
	var began time.Time
	eventually(t, func() error {
		began = time.Now()
		if a := w.ask(clients[0], "probed", "response"); a.status != 503 || a.source() != "" {
			return fmt.Errorf("got %+v, want an admitted probe, and by it the crash", a)
		}
		return nil
	})
	eventually(t, func() error {
		if a := w.ask(clients[1], "probed", ""); a.status != 200 {
			return fmt.Errorf("got %+v, want status 200: the lost probe's permit must come back", a)
		}
		return nil
	})
	if waited := time.Since(began); waited < probeTimeout {
		t.Errorf("the place of a lost probe came back after %v, want %v", waited, probeTimeout)
	}
	if probed.Count() != 3 {
		t.Errorf("%d requests reached the upstream, want the failure and two probes", probed.Count())
	}

	w.WaitMetric(`weir_breaker_transitions_total{cluster="failing",to="open"}`, engine.Exactly(1))
	w.WaitMetric(`weir_breaker_transitions_total{cluster="probed",to="closed"}`, engine.Exactly(1))
	w.WaitMetric(`weir_requests_total{cluster="aws",decision="allowed"}`, engine.Exactly(burst))
	w.WaitMetric(`weir_faults_total`, engine.Exactly(0))
}

// crashing is an Envoy with the build of the filter that crashes on command (filter/internal/testmodules/crash).
type crashing struct{ *weir }

func startCrashing(t *testing.T, policy string, upstreams map[string]*upstream.Upstream) crashing {
	t.Helper()
	dir := engine.Dir(t)
	o := options(t, policy, upstreams)
	o.Wasm = filepath.Join(dir, "crash.wasm")
	bootstrap, err := render.Bootstrap(o)
	if err != nil {
		t.Fatal(err)
	}
	filter := map[string][]byte{"crash.wasm": moduleBytes(t, crashModule)}
	e := engine.Start(t, engine.Config{Bootstrap: bootstrap, Dir: dir, Files: filter})
	return crashing{&weir{Envoy: e, t: t, url: e.URL()}}
}

// ask sends a request over a connection that is there. It makes the VM crash at the "request" or the "response", or
// never.
func (w crashing) ask(client *http.Client, cluster, crash string) answer {
	w.t.Helper()
	r := w.request(w.t.Context(), http.MethodGet, cluster, "/")
	if crash != "" {
		r.Header.Set("weir-test-crash", crash)
	}
	return send(client, r)
}

// served waits until a worker has a VM again, and returns which. Envoy lets a second pass between a worker's reloads
// (PluginConfig.reload_config), and answers 503 to all in the meantime.
func (w crashing) served(client *http.Client) (vm string) {
	w.t.Helper()
	eventually(w.t, func() error {
		a := w.ask(client, "plain", "")
		if a.status == 503 && a.err == nil && a.header.Get(vmHeader) == "" {
			return fmt.Errorf("got %+v, want a response of a new VM", a)
		}
		if vm = a.header.Get(vmHeader); a.status != 200 || vm == "" {
			w.t.Fatalf("after a crash: %+v, want 503 or the answer", a)
		}
		return nil
	})
	return vm
}

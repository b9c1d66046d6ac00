//go:build !wasm

package main

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/proxytest"

	"github.com/weir-mesh/weir/filter/internal/host"
)

// These tests run the compiled module under the SDK's emulator, in a second instead of ten with a real Envoy. The
// emulator differs from Envoy in shared data, time and local replies, see docs/rationale.md, "Shared data": the e2e
// tests check those.

// built is the filter by official Go, once for all tests, without postlink: the emulator has no proxy_get_log_level.
var built = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "weir-filter-test")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out := filepath.Join(dir, "weir.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, ".")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
})

// emulate starts the module with a configuration. Emulators are process-wide: such tests do not run in parallel.
func emulate(t *testing.T, configuration string) (proxytest.HostEmulator, host.StartStatus) {
	t.Helper()
	wasm, err := built()
	if err != nil {
		t.Fatal(err)
	}
	vm, err := proxytest.NewWasmVMContext(wasm)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vm.Close(); err != nil {
			t.Error(err)
		}
	})
	option := proxytest.NewEmulatorOption().WithVMContext(vm).WithPluginConfiguration([]byte(configuration))
	emulator, reset := proxytest.NewHostEmulator(option)
	t.Cleanup(reset)
	if !emulator.StartVM() {
		t.Fatal("StartVM() = false, want true")
	}
	return emulator, host.StartStatus(emulator.StartPlugin())
}

var get = [][2]string{{":method", "GET"}, {":path", "/"}, {":authority", "a"}}

func TestMistakesStopThePluginAndAreAllLogged(t *testing.T) {
	proxy, status := emulate(t, `{"clusters": {"aws": {
		"rate_limit": {"algorithm": "token_bucket", "burst_capacity": 0, "burst": 3},
		"circuit_breaker": {"recovery_timeout": "soon"}}}}`)
	if status != host.StartFailed {
		t.Errorf("StartPlugin() = %v, want %v", status, host.StartFailed)
	}
	log := proxy.GetErrorLogs()
	for _, want := range []string{
		"clusters.aws.rate_limit.burst_capacity: must be at least 1, got 0",
		"clusters.aws.rate_limit.burst: unknown key",
		"clusters.aws.circuit_breaker.recovery_timeout: ",
		"is refused by these mistakes; the one before stays in force",
	} {
		if !slices.ContainsFunc(log, func(line string) bool { return strings.Contains(line, want) }) {
			t.Errorf("got log %q, want a line with %q", log, want)
		}
	}
	if len(log) != 4 {
		t.Errorf("got %d lines, want 4, one for each mistake, and the last: %q", len(log), log)
	}
}

// TestCompiledFilter runs one module, since compiling it takes the emulator some seconds: a limit, a breaker with
// default data, and clusters that no policy names.
func TestCompiledFilter(t *testing.T) {
	proxy, status := emulate(t, `{"clusters": {
		"limit*": {"rate_limit": {"algorithm": "token_bucket", "burst_capacity": 1, "refill_rate": 0.001}},
		"fragile": {"circuit_breaker": {"failure_threshold": 2},
			"fallback": {"enable_cache_fallback": false, "default_data": {"body": {"services": []}}}}}}`)
	if status != host.StartOK {
		t.Fatalf("StartPlugin() = %v, want %v; log: %q", status, host.StartOK, proxy.GetErrorLogs())
	}
	route := func(cluster string) {
		set(t, proxy, []string{"xds", "cluster_name"}, []byte(cluster))
	}

	t.Run("requests without a cluster, or without a policy for it, pass untouched", func(t *testing.T) {
		for i := range 4 {
			if i == 2 {
				route("other")
			}
			id := proxy.InitializeHttpContext()
			if action := proxy.CallOnRequestHeaders(id, get, true); host.Action(action) != host.Continue {
				t.Fatalf("request %d: got action %v, want %v", i, action, host.Continue)
			}
			proxy.CallOnResponseHeaders(id, [][2]string{{":status", "500"}}, true)
			if headers := proxy.GetCurrentResponseHeaders(id); len(headers) != 1 {
				t.Errorf("got %v, want the headers untouched", headers)
			}
			proxy.CompleteHttpContext(id)
		}
	})

	t.Run("a limit refuses", func(t *testing.T) {
		route("limited")
		first := proxy.InitializeHttpContext()
		forged := append(slices.Clone(get), [2]string{"x-weir-source", "forged"})
		if action := proxy.CallOnRequestHeaders(first, forged, true); host.Action(action) != host.Continue {
			t.Fatalf("the first request: got action %v, want %v", action, host.Continue)
		}
		weirs := func(h [2]string) bool { return strings.HasPrefix(h[0], "x-weir-") }
		if headers := proxy.GetCurrentRequestHeaders(first); slices.ContainsFunc(headers, weirs) {
			t.Errorf("got request headers %v, want none that start with x-weir-", headers)
		}
		second := proxy.InitializeHttpContext()
		if action := proxy.CallOnRequestHeaders(second, get, true); host.Action(action) != host.Pause {
			t.Fatalf("the second request: got action %v, want %v", action, host.Pause)
		}
		reply := proxy.GetSentLocalResponse(second)
		if reply == nil || reply.StatusCode != 429 || !strings.Contains(string(reply.Data), `"title":"RateLimitExceeded"`) {
			t.Errorf("got reply %+v, want 429 RateLimitExceeded", reply)
		}
		for name, want := range map[string]uint64{"allowed": 1, "rate_limited": 1, "circuit_open": 0} {
			got, err := proxy.GetCounterMetric("weir_requests_total_cluster_=limited;_decision_=" + name + ";")
			if err != nil || got != want {
				t.Errorf("%s: got %d, want %d (%v)", name, got, want, err)
			}
		}
	})

	t.Run("failures open the breaker, and default data answers", func(t *testing.T) {
		route("fragile")
		set(t, proxy, []string{"response", "code"}, binary.LittleEndian.AppendUint64(nil, 500))
		set(t, proxy, []string{"response", "code_details"}, []byte("via_upstream"))
		for i := range 2 {
			id := proxy.InitializeHttpContext()
			if action := proxy.CallOnRequestHeaders(id, get, true); host.Action(action) != host.Continue {
				t.Fatalf("request %d: got action %v, want %v", i, action, host.Continue)
			}
			failing := [][2]string{{":status", "500"}}
			if action := proxy.CallOnResponseHeaders(id, failing, false); host.Action(action) != host.Pause {
				t.Fatalf("failing response %d: got action %v, want %v: a fallback replaces it", i, action, host.Pause)
			}
			reply := proxy.GetSentLocalResponse(id)
			if reply == nil || reply.StatusCode != 200 || string(reply.Data) != `{"services":[]}` {
				t.Fatalf("got reply %+v, want the default data", reply)
			}
			proxy.CompleteHttpContext(id)
		}
		if action := proxy.CallOnRequestHeaders(proxy.InitializeHttpContext(), get, true); host.Action(action) != host.Pause {
			t.Fatalf("after two failures: got action %v, want %v: the breaker is open", action, host.Pause)
		}
		line := "weir: fragile: circuit breaker closed -> open (consecutive_failures, status 500)"
		if log := proxy.GetInfoLogs(); !slices.Contains(log, line) {
			t.Errorf("got log %q, want a line %q", log, line)
		}
		if state, err := proxy.GetGaugeMetric("weir_breaker_state_cluster_=fragile;"); err != nil || state != 2 {
			t.Errorf("weir_breaker_state: got %d (%v), want 2", state, err)
		}
	})
}

func set(t *testing.T, proxy proxytest.HostEmulator, path []string, value []byte) {
	t.Helper()
	if err := proxy.SetProperty(path, value); err != nil {
		t.Fatal(err)
	}
}

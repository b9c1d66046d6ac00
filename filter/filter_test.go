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

// compiled is the filter once for all tests, as `make wasm` does.
var compiled = sync.OnceValues(func() ([]byte, error) {
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
	wasm, err := compiled()
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
		t.Fatal("the VM did not start")
	}
	return emulator, emulator.StartPlugin()
}

var get = [][2]string{{":method", "GET"}, {":path", "/"}, {":authority", "a"}}

func TestMistakesStopThePluginAndAreAllLogged(t *testing.T) {
	proxy, status := emulate(t, `{"clusters": {"aws": {
		"rate_limit": {"algorithm": "token_bucket", "burst_capacity": 0, "burst": 3},
		"circuit_breaker": {"recovery_timeout": "soon"}}}}`)
	if status != host.StartFailed {
		t.Error("the plugin started")
	}
	log := proxy.GetErrorLogs()
	for _, want := range []string{
		"clusters.aws.rate_limit.burst_capacity: must be at least 1, got 0",
		"clusters.aws.rate_limit.burst: unknown key",
		"clusters.aws.circuit_breaker.recovery_timeout: ",
	} {
		if !slices.ContainsFunc(log, func(line string) bool { return strings.Contains(line, want) }) {
			t.Errorf("no line with %q in %q", want, log)
		}
	}
	if len(log) != 3 {
		t.Errorf("got %d lines, want 3, one for each mistake: %q", len(log), log)
	}
}

// TestCompiledFilter runs one module, since compiling it takes the emulator some seconds: a limit, a breaker with default
// data, and clusters that no policy names.
func TestCompiledFilter(t *testing.T) {
	proxy, status := emulate(t, `{"clusters": {
		"limit*": {"rate_limit": {"algorithm": "token_bucket", "burst_capacity": 1, "refill_rate": 0.001}},
		"fragile": {"circuit_breaker": {"failure_threshold": 2},
			"fallback": {"enable_cache_fallback": false, "default_data": {"body": {"services": []}}}}}}`)
	if status != host.StartOK {
		t.Fatalf("the plugin did not start: %q", proxy.GetErrorLogs())
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
			if proxy.CallOnRequestHeaders(id, get, true) != host.Continue {
				t.Fatal("refused")
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
		if proxy.CallOnRequestHeaders(first, append(slices.Clone(get), [2]string{"x-weir-source", "forged"}), true) != host.Continue {
			t.Fatal("the first request was refused")
		}
		if headers := proxy.GetCurrentRequestHeaders(first); slices.ContainsFunc(headers, func(h [2]string) bool { return strings.HasPrefix(h[0], "x-weir-") }) {
			t.Errorf("a client's x-weir header reached the upstream: %v", headers)
		}
		second := proxy.InitializeHttpContext()
		if proxy.CallOnRequestHeaders(second, get, true) != host.Pause {
			t.Fatal("the second request was let through")
		}
		reply := proxy.GetSentLocalResponse(second)
		if reply == nil || reply.StatusCode != 429 || !strings.Contains(string(reply.Data), `"title":"RateLimitExceeded"`) {
			t.Errorf("got reply %+v, want 429 RateLimitExceeded", reply)
		}
		for name, want := range map[string]uint64{"allowed": 1, "rate_limited": 1, "circuit_open": 0} {
			if got, err := proxy.GetCounterMetric("weir_requests_total_cluster_=limited;_decision_=" + name + ";"); err != nil || got != want {
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
			if proxy.CallOnRequestHeaders(id, get, true) != host.Continue {
				t.Fatalf("request %d was refused", i)
			}
			if proxy.CallOnResponseHeaders(id, [][2]string{{":status", "500"}}, false) != host.Pause {
				t.Fatal("the failing answer was not replaced")
			}
			if reply := proxy.GetSentLocalResponse(id); reply == nil || reply.StatusCode != 200 || string(reply.Data) != `{"services":[]}` {
				t.Fatalf("got reply %+v, want the default data", reply)
			}
			proxy.CompleteHttpContext(id)
		}
		if proxy.CallOnRequestHeaders(proxy.InitializeHttpContext(), get, true) != host.Pause {
			t.Fatal("the breaker did not open")
		}
		if log := proxy.GetInfoLogs(); !slices.Contains(log, "weir: fragile: circuit breaker closed -> open (consecutive_failures, status 500)") {
			t.Errorf("got log %q, want the transition", log)
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

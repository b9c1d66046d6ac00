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
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

// The compiled module under the SDK's emulator: what needs no real Envoy, in a second instead of ten. Shared data,
// time and local answers differ there (DESIGN, part 1); the e2e tests have the last word on them.

// module compiles the filter once for all tests, as `make wasm` does.
var module = sync.OnceValues(func() ([]byte, error) {
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
func emulate(t *testing.T, configuration string, cluster string) (proxytest.HostEmulator, types.OnPluginStartStatus) {
	t.Helper()
	wasm, err := module()
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
	if cluster != "" {
		option = option.WithProperty([]string{"xds", "cluster_name"}, []byte(cluster))
	}
	host, reset := proxytest.NewHostEmulator(option)
	t.Cleanup(reset)
	if status := host.StartVM(); status != types.OnVMStartStatusOK {
		t.Fatalf("the VM did not start: %v", status)
	}
	return host, host.StartPlugin()
}

var get = [][2]string{{":method", "GET"}, {":path", "/"}, {":authority", "aws"}}

func TestMistakesStopThePluginAndAreAllLogged(t *testing.T) {
	host, status := emulate(t, `{"clusters": {"aws": {
		"rate_limit": {"algorithm": "token_bucket", "burst_capacity": 0, "burst": 3},
		"circuit_breaker": {"recovery_timeout": "soon"}}}}`, "")
	if status != types.OnPluginStartStatusFailed {
		t.Error("the plugin started")
	}
	log := host.GetErrorLogs()
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
		t.Errorf("%d lines, want one for each mistake: %q", len(log), log)
	}
}

func TestWhatIsNotEnforcedYetIsRefused(t *testing.T) {
	host, status := emulate(t, `{"clusters": {"aws": {"bulkhead": {"max_concurrent": 3}}}}`, "")
	if log := host.GetErrorLogs(); status != types.OnPluginStartStatusFailed || len(log) != 1 || !strings.Contains(log[0], "clusters.aws.bulkhead") {
		t.Errorf("status %v, log %q", status, log)
	}
}

func TestCompiledFilterLimits(t *testing.T) {
	host, status := emulate(t, `{"clusters": {"a*": {"rate_limit": {"algorithm": "token_bucket", "burst_capacity": 1, "refill_rate": 0.001}}}}`, "aws")
	if status != types.OnPluginStartStatusOK {
		t.Fatalf("the plugin did not start: %q", host.GetErrorLogs())
	}
	first := host.InitializeHttpContext()
	if action := host.CallOnRequestHeaders(first, append(slices.Clone(get), [2]string{"x-weir-source", "forged"}), true); action != types.ActionContinue {
		t.Fatalf("first: %v", action)
	}
	if headers := host.GetCurrentRequestHeaders(first); slices.ContainsFunc(headers, func(h [2]string) bool { return strings.HasPrefix(h[0], "x-weir-") }) {
		t.Errorf("a client's x-weir header reached the upstream: %v", headers)
	}
	second := host.InitializeHttpContext()
	if action := host.CallOnRequestHeaders(second, get, true); action != types.ActionPause {
		t.Fatalf("second: %v", action)
	}
	reply := host.GetSentLocalResponse(second)
	if reply == nil || reply.StatusCode != 429 || !strings.Contains(string(reply.Data), `"title":"RateLimitExceeded"`) {
		t.Errorf("reply: %+v", reply)
	}
	for name, want := range map[string]uint64{"allowed": 1, "rate_limited": 1, "circuit_open": 0} {
		if got, err := host.GetCounterMetric("weir_requests_total_cluster_=aws;_decision_=" + name + ";"); err != nil || got != want {
			t.Errorf("%s: %d, want %d (%v)", name, got, want, err)
		}
	}
}

func TestRequestsWithoutAPolicyPassUntouched(t *testing.T) {
	for name, cluster := range map[string]string{"no such cluster in the policy": "other", "no cluster at all": ""} {
		t.Run(name, func(t *testing.T) {
			host, _ := emulate(t, `{"clusters": {"aws": {"rate_limit": {"algorithm": "token_bucket", "burst_capacity": 1, "refill_rate": 0.001}}}}`, cluster)
			for range 3 {
				id := host.InitializeHttpContext()
				if host.CallOnRequestHeaders(id, get, true) != types.ActionContinue {
					t.Fatal("refused")
				}
				answer := [][2]string{{":status", "500"}}
				host.CallOnResponseHeaders(id, answer, true)
				if headers := host.GetCurrentResponseHeaders(id); len(headers) != 1 {
					t.Errorf("touched: %v", headers)
				}
				host.CompleteHttpContext(id)
			}
		})
	}
}

func TestCompiledFilterOpensAndAnswersFromDefaultData(t *testing.T) {
	host, status := emulate(t, `{"clusters": {"aws": {"circuit_breaker": {"failure_threshold": 2},
		"fallback": {"enable_cache_fallback": false, "default_data": {"body": {"services": []}}}}}}`, "aws")
	if status != types.OnPluginStartStatusOK {
		t.Fatalf("the plugin did not start: %q", host.GetErrorLogs())
	}
	code := binary.LittleEndian.AppendUint64(nil, 500)
	for i := range 2 {
		id := host.InitializeHttpContext()
		if host.CallOnRequestHeaders(id, get, true) != types.ActionContinue {
			t.Fatalf("request %d was refused", i)
		}
		for path, value := range map[string][]byte{"code": code, "code_details": []byte("via_upstream")} {
			if err := host.SetProperty([]string{"response", path}, value); err != nil {
				t.Fatal(err)
			}
		}
		if host.CallOnResponseHeaders(id, [][2]string{{":status", "500"}}, false) != types.ActionPause {
			t.Fatal("the failing answer was not replaced")
		}
		if reply := host.GetSentLocalResponse(id); reply == nil || reply.StatusCode != 200 || string(reply.Data) != `{"services":[]}` {
			t.Fatalf("reply: %+v", reply)
		}
		host.CompleteHttpContext(id)
	}
	id := host.InitializeHttpContext()
	if host.CallOnRequestHeaders(id, get, true) != types.ActionPause {
		t.Fatal("the breaker did not open")
	}
	if log := host.GetInfoLogs(); !slices.Contains(log, "weir: aws: circuit breaker closed -> open (status 500)") {
		t.Errorf("log: %q", log)
	}
	if state, err := host.GetGaugeMetric("weir_breaker_state_cluster_=aws;"); err != nil || state != 2 {
		t.Errorf("weir_breaker_state: %d (%v)", state, err)
	}
}

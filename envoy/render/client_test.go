package render

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weir-mesh/weir/envoy/run"
)

// A client's headers that only Weir or the router may set have no effect: they choose neither a cluster nor a number of
// retries, and upstream does not see them. The stub filter does nothing, so Envoy's configuration alone does this.
func TestClientHeadersHaveNoEffect(t *testing.T) {
	binary, err := run.Find()
	if errors.Is(err, run.ErrNoEnvoy) {
		t.Skipf("needs an Envoy: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	var seen atomic.Pointer[http.Header]
	primary := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		seen.Store(&r.Header)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	other := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	base := startStub(t, binary, Options{
		Policy: []byte(`{"clusters": {
			"primary": {"retry": {"base_delay": "1ms", "max_delay": "1ms"}, "failover": {"to": ["other"]}},
			"third": {"failover": {"to": ["other"], "header": "to-region"}}}}`),
		Upstreams: []Upstream{primary.named("primary"), primary.named("third"), other.named("other")},
	})
	for _, test := range []struct {
		host, header, value string
	}{
		{"primary", "x-weir-cluster", "other"},
		{"primary", "X-Weir-Anything", "1"},
		{"third", "To-Region", "other"},
		{"primary", "x-envoy-max-retries", "5"},
		{"primary", "x-envoy-retriable-status-codes", "503"},
		{"primary", "x-envoy-upstream-rq-timeout-ms", "1"},
	} {
		asked.Store(0)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = test.host
		request.Header.Set("x-envoy-retry-on", "5xx,retriable-status-codes")
		request.Header.Set(test.header, test.value)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != http.StatusServiceUnavailable || asked.Load() != 1 {
			t.Errorf("%s: %s: got status %d after %d requests to the primary, want 503 after one", test.header, test.value, answer.StatusCode, asked.Load())
			continue
		}
		for _, name := range []string{test.header, "x-envoy-retry-on", "x-envoy-internal"} {
			if got := seen.Load().Get(name); got != "" {
				t.Errorf("upstream got %s: %s, want it removed", name, got)
			}
		}
	}
}

// server is an upstream of a test.
type server struct{ port uint32 }

func serve(t *testing.T, handle http.HandlerFunc) server {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	address, ok := s.Listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("got listener address %v, want a TCP address", s.Listener.Addr())
	}
	return server{uint32(address.Port)}
}

func (s server) named(name string) Upstream {
	return Upstream{Name: name, Host: loopback, Port: s.port}
}

// startStub starts an Envoy with the stub instead of the filter, and returns the URL of its traffic listener.
func startStub(t *testing.T, binary run.Binary, o Options) string {
	t.Helper()
	dir := t.TempDir()
	o.Wasm, o.Listen, o.EnvoyAdmin = filepath.Join(dir, "stub.wasm"), "127.0.0.1:0", "127.0.0.1:0"
	text, err := Inline(o)
	if err != nil {
		t.Fatal(err)
	}
	bootstrap := filepath.Join(dir, "envoy.yaml")
	for path, content := range map[string][]byte{o.Wasm: []byte(stubWasm), bootstrap: text} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Not the test's context, which ends before its cleanups.
	process, err := run.Start(context.Background(), run.Config{Binary: binary.Path, Bootstrap: bootstrap, Concurrency: 2, LogLevel: "warning"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := process.Stop(); err != nil {
			t.Error(err)
		}
	})
	answer, err := http.Get("http://" + process.Admin() + "/listeners?format=json") //nolint:noctx // bounded by the test's own timeout
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var listeners struct {
		Statuses []struct {
			Name  string `json:"name"`
			Local struct {
				Socket struct {
					Port int `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(body, &listeners); err != nil {
		t.Fatal(err)
	}
	for _, l := range listeners.Statuses {
		if l.Name == "traffic" {
			return fmt.Sprintf("http://%s:%d/", loopback, l.Local.Socket.Port)
		}
	}
	t.Fatalf("got no listener named traffic: %s", strings.TrimSpace(string(body)))
	return ""
}

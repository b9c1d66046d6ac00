package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// ownHeaders are a response's x-weir headers, sorted.
func (a answer) ownHeaders() string {
	var own []string
	for name, values := range a.header {
		if name = strings.ToLower(name); strings.HasPrefix(strings.ReplaceAll(name, "_", "-"), "x-weir-") {
			own = append(own, name+": "+strings.Join(values, "+"))
		}
	}
	slices.Sort(own)
	return strings.Join(own, ", ")
}

// TestWeirBehindWeir has a gateway with Weir in front of a sidecar with Weir. The client sees the headers of the one that
// answered, and the gateway neither keeps the sidecar's default data nor counts it as upstream's good answer.
func TestWeirBehindWeir(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	sidecar := start(t, `
clusters:
  up:
    circuit_breaker: {failure_threshold: 1, recovery_timeout: 600s}
    fallback: {default_data: {body: {from: sidecar}}}
`, map[string]*upstream.Upstream{"up": u})
	o := options(t, `
clusters:
  up:
    circuit_breaker: {failure_threshold: 3}
    fallback: {default_data: {body: {from: gateway}}}
`, nil)
	o.Upstreams = []render.Upstream{{Name: "up", Host: "127.0.0.1", Port: portOf(t, sidecar.Addr(""))}}
	gateway := startWith(t, o)

	u.Set(upstream.Body("real").Header("cache-control", "max-age=600"))
	if a := gateway.get("up", "/"); a.status != 200 || a.ownHeaders() != "x-weir-source: upstream" {
		t.Fatalf("upstream is well: got %d %q, want 200 and one source", a.status, a.ownHeaders())
	}
	u.Set(upstream.Status(503))
	sidecar.get("up", "/other") // opens the sidecar's breaker
	for i := range 4 {
		const want = "x-weir-fallback-used: true, x-weir-reason: circuit_open, x-weir-source: default"
		a := gateway.get("up", "/default")
		if a.status != 200 || a.ownHeaders() != want || !strings.Contains(a.body, "sidecar") {
			t.Fatalf("request %d: got %d %q %s, want the sidecar's default data, %q", i, a.status, a.ownHeaders(), a.body, want)
		}
	}
	gateway.get("up", "/") // the sidecar's answer, from its cache or default data, is not kept in place of the real one
	sidecar.Stop()
	a := gateway.get("up", "/")
	if a.status != 200 || a.body != "real" || a.source() != "cache" {
		t.Errorf("the sidecar is gone: got %d %q %s, want the real answer that the gateway kept", a.status, a.ownHeaders(), a.body)
	}
	if a := gateway.get("up", "/default"); a.source() == "cache" {
		t.Errorf("got %d %q %s, want the sidecar's default data not kept", a.status, a.ownHeaders(), a.body)
	}
	gateway.WaitMetric("weir_faults_total", engine.Exactly(0))
}

func portOf(t *testing.T, address string) (port uint32) {
	t.Helper()
	if _, err := fmt.Sscanf(address[strings.LastIndexByte(address, ':')+1:], "%d", &port); err != nil {
		t.Fatal(err)
	}
	return port
}

// TestUpstreamsOwnWeirHeaders: an upstream that is no Weir sends headers of Weir's. They are not taken for Weir's, and one
// that claims to answer in place of its upstream is no success and is not kept.
func TestUpstreamsOwnWeirHeaders(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	w := start(t, "clusters:\n  up: {circuit_breaker: {failure_threshold: 2}, fallback: {}}\n", map[string]*upstream.Upstream{"up": u})
	for _, tc := range []struct {
		name, sent, want string // name: value, …
	}{
		{"fallback used", "x-weir-fallback-used: true", "x-weir-source: upstream"},
		{"a source that is none", "x-weir-source: magic, x-weir-reason: circuit_open, x-weir-degraded-mode: true, x-weir-error: x", "x-weir-source: upstream"},
		{"an inner Weir's good answer in shadow", "x-weir-source: upstream, x-weir-reason: shadow_rate_limited", "x-weir-source: upstream"},
		{"no source", "x-weir-reason: circuit_open, x-weir-degraded-mode: true, x-weir-error: x", "x-weir-source: upstream"},
		{"two sources, a fallback first", "x-weir-source: default, x-weir-source: upstream", "x-weir-source: upstream"},
		{"two sources, a fallback last", "x-weir-source: upstream, x-weir-source: cache, x-weir-reason: circuit_open", "x-weir-source: upstream"},
		{"a name that a CGI reads alike", "x_weir_source: default, x-weir-unknown: 1", "x-weir-source: upstream"},
		{"a Weir's set", "x-weir-fallback-used: true, x-weir-reason: circuit_open, x-weir-source: stale_cache", "x-weir-fallback-used: true, x-weir-reason: circuit_open, x-weir-source: stale_cache"},
	} {
		b := upstream.OK()
		for _, h := range strings.Split(tc.sent, ", ") {
			name, value, _ := strings.Cut(h, ": ")
			b = b.Header(name, value)
		}
		u.Set(b)
		if got := w.get("up", "/"); got.status != 200 || got.ownHeaders() != tc.want {
			t.Errorf("%s: got %d %q, want 200 %q", tc.name, got.status, got.ownHeaders(), tc.want)
		}
	}
	// A failure, a fallback of an inner Weir, a failure: the fallback is no success, so these are two in a row.
	u.Script(upstream.Status(503), upstream.OK().Header("x-weir-source", "default"), upstream.Status(503))
	for _, want := range []int{503, 200, 503} {
		r := w.request(t.Context(), http.MethodPost, "up", "/")
		if a := w.do(r); a.status != want {
			t.Errorf("got %d %q, want %d", a.status, a.ownHeaders(), want)
		}
	}
	if a := w.get("up", "/closed"); a.reason() != "circuit_open" {
		t.Errorf("after two failures with a fallback between them: got %d %q, want circuit_open", a.status, a.ownHeaders())
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

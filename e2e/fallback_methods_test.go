package e2e

import (
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestFallbackMethods: only the methods in fallback.methods are answered with default data; the others with an error,
// which no cache may keep (case E15).
func TestFallbackMethods(t *testing.T) {
	t.Parallel()
	failing, dead := upstream.New(t), upstream.New(t)
	failing.Set(upstream.Status(502).Body("sorry").Header("retry-after", "7"))
	dead.Refuse()
	w := start(t, `
clusters:
  plain: {fallback: {default_data: {body: {ok: true}}}}
  dead: {circuit_breaker: {failure_threshold: 1}, fallback: {default_data: {body: {ok: true}}}}
  success: {fallback: {default_data: {body: {ok: true}}, degraded: {status: 200}}}
  written: {fallback: {degraded: {status: 504}}}
  posts: {fallback: {methods: [POST], default_data: {body: {ok: true}}}}
  none: {fallback: {default_data: {body: {ok: true}}, enable_degraded_mode: false}}
`, map[string]*upstream.Upstream{"plain": failing, "dead": dead, "success": failing, "written": failing, "posts": failing, "none": failing})
	for _, tc := range []struct {
		method, cluster string
		status          int
		source          string
		retryAfter      string // "-": any
	}{
		{"GET", "plain", 200, "default", ""},
		{"HEAD", "plain", 200, "default", ""},
		{"POST", "plain", 502, "degraded", "7"},
		{"PUT", "plain", 502, "degraded", "7"},
		{"DELETE", "plain", 502, "degraded", "7"},
		{"PATCH", "plain", 502, "degraded", "7"},
		{"OPTIONS", "plain", 502, "degraded", "7"},
		{"PURGE", "plain", 502, "degraded", "7"},
		{"POST", "dead", 503, "degraded", ""},
		{"POST", "dead", 503, "degraded", "-"}, // the breaker is open
		{"POST", "success", 502, "degraded", "7"},
		{"GET", "written", 504, "degraded", "7"},
		{"POST", "posts", 200, "default", ""},
		{"GET", "posts", 502, "degraded", "7"},
		{"POST", "none", 502, "upstream", "7"},
	} {
		a := w.send(tc.method, tc.cluster, "/")
		if a.err != nil || a.status != tc.status || a.source() != tc.source {
			t.Errorf("%s %s: got %+v, want %d from %s", tc.method, tc.cluster, a, tc.status, tc.source)
		}
		if after := a.header.Get("retry-after"); after != tc.retryAfter && tc.retryAfter != "-" {
			t.Errorf("%s %s: got retry-after %q, want %q", tc.method, tc.cluster, after, tc.retryAfter)
		}
		if stored := a.header.Get("cache-control"); (stored == "no-store") != (tc.source != "upstream") {
			t.Errorf("%s %s: got cache-control %q, want no-store on Weir's own answers", tc.method, tc.cluster, stored)
		}
		if tc.source == "degraded" && tc.method != "HEAD" {
			if p := problemOf(t, a.body); p.Status != tc.status {
				t.Errorf("%s %s: got status %d in the body, want %d", tc.method, tc.cluster, p.Status, tc.status)
			}
		}
	}
	upgrade := w.send("GET", "plain", "/", "connection", "upgrade", "upgrade", "websocket")
	if upgrade.status < 400 {
		t.Errorf("a WebSocket handshake: got %+v, want a status of 400 or more", upgrade)
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

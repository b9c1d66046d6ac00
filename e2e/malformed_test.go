package e2e

import (
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestMalformedRequestsOpenNoBreaker: an HTTP/2 server refuses a malformed request by the stream error PROTOCOL_ERROR, and
// Envoy an upgrade that the server's connection does not offer. A client can send as many of them as it likes.
func TestMalformedRequestsOpenNoBreaker(t *testing.T) {
	t.Parallel()
	o := withHTTP2(options(t, "clusters: {up-http2: {circuit_breaker: {failure_threshold: 3}}}",
		map[string]*upstream.Upstream{"up-http2": upstream.New(t)}))
	withAdmin(&o)
	w := startWith(t, o)
	for _, tc := range []struct{ name, request string }{
		{"a percent-encoding", "GET /%zz HTTP/1.1\r\nhost: up-http2\r\n\r\n"},
		{"an upgrade", "GET / HTTP/1.1\r\nhost: up-http2\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"},
	} {
		for range 4 {
			c := w.dial(0)
			c.send(tc.request)
			if a := c.answer(); a.StatusCode != 502 {
				t.Errorf("%s: got %d, want 502: upstream refuses it", tc.name, a.StatusCode)
			}
		}
		c := w.console()
		c.waitStatus("up-http2", map[string]any{"circuit_breaker.state": "closed", "circuit_breaker.failure_count": 0.0})
		if a := w.get("up-http2", "/"); a.status != 200 {
			t.Errorf("after 4 times %s: got %d, want 200", tc.name, a.status)
		}
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

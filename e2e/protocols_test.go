package e2e

import (
	"strings"
	"testing"

	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestRefusalsByProtocol: a refused gRPC-Web or Connect call gets an error of its protocol, and a WebSocket handshake an error
// status, never default data.
func TestRefusalsByProtocol(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	u.Set(upstream.Status(500))
	w := start(t, `
clusters:
  open: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, fallback: {methods: [GET, HEAD, POST], `+onMiss+`}}
`, map[string]*upstream.Upstream{"open": u})
	w.get("open", "/")
	for _, tc := range []struct {
		method  string
		headers []string
		status  int
		kind    string
		body    string
	}{
		{"POST", []string{"content-type", "application/grpc-web+proto"}, 200, "application/grpc-web+proto", "\x80\x00\x00\x00\x34grpc-status: 14\r\ngrpc-message: CircuitBreakerError\r\n"},
		{"POST", []string{"content-type", "application/json", "connect-protocol-version", "1"}, 503, "application/json", `{"code":"unavailable","message":"CircuitBreakerError"}`},
		{"POST", []string{"content-type", "application/connect+proto", "connect-protocol-version", "1"}, 200, "application/connect+proto", "\x02\x00\x00\x00\x40" + `{"error":{"code":"unavailable","message":"CircuitBreakerError"}}`},
		{"GET", []string{"connection", "upgrade", "upgrade", "websocket", "sec-websocket-version", "13", "sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="}, 503, "application/problem+json", ""},
		{"POST", []string{"content-type", "application/json"}, 200, "text/plain", missed},
	} {
		a := w.send(tc.method, "open", "/", tc.headers...)
		what := tc.method + " " + strings.Join(tc.headers, " ")
		if kind, _, _ := strings.Cut(a.header.Get("content-type"), ";"); a.status != tc.status || kind != tc.kind || tc.body != "" && a.body != tc.body {
			t.Errorf("%s: got %d %s %q, want %d %s %q", what, a.status, kind, a.body, tc.status, tc.kind, tc.body)
		}
		if a.reason() != "circuit_open" {
			t.Errorf("%s: got reason %s, want circuit_open", what, a.reason())
		}
	}
}

package localreply_test

import (
	"testing"

	"github.com/weir-mesh/weir/filter/internal/localreply"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/ratelimit"
)

func TestProtocolOf(t *testing.T) {
	for contentType, want := range map[string]localreply.Protocol{
		"":                                localreply.PlainHTTP,
		"application/json":                localreply.PlainHTTP,
		"application/grpc":                localreply.PlainHTTP, // Envoy makes its replies
		"application/grpc+proto":          localreply.PlainHTTP,
		"application/grpc-web":            localreply.GRPCWeb,
		"application/grpc-web+proto":      localreply.GRPCWeb,
		"application/grpc-web-text+proto": localreply.GRPCWebText,
		"application/connect+proto":       localreply.ConnectProto,
		"application/connect+json":        localreply.ConnectJSON,
	} {
		if got := localreply.ProtocolOf(contentType); got != want {
			t.Errorf("ProtocolOf(%q) = %v, want %v", contentType, got, want)
		}
	}
}

func TestIsConnectGet(t *testing.T) {
	for target, want := range map[string]bool{
		"/a.B/C?connect=v1&encoding=json&message=%7B%7D":     true,
		"/a.B/C?message=&encoding=proto&base64=1&connect=v1": true,
		"/a.B/C?connect=v2&encoding=json&message=%7B%7D":     false,
		"/a.B/C?xconnect=v1&encoding=json&message=%7B%7D":    false,
		"/a.B/C?connect=v1&encoding=json":                    false,
		"/a.B/C?connect=v1":                                  false,
		"/a.B/C":                                             false,
		"/connect=v1&encoding=json&message=1":                false,
		"/a.B/C?connect=v10&encoding=json&message=%7B%7D":    false,
		"/a.B/C?q=connect=v1&encoding=json&message=1":        false,
	} {
		if got := localreply.IsConnectGet(target); got != want {
			t.Errorf("IsConnectGet(%q) = %v, want %v", target, got, want)
		}
	}
}

func TestRefusalsInTheProtocolOfTheClient(t *testing.T) {
	replies := localreply.New("up", &policy.Policy{}, nil)
	for _, tc := range []struct {
		protocol   localreply.Protocol
		reason     fallback.Reason
		status     int
		kind, body string
	}{
		{localreply.GRPCWeb, fallback.CircuitOpen, 200, "application/grpc-web+proto", "\x80\x00\x00\x00\x34grpc-status: 14\r\ngrpc-message: CircuitBreakerError\r\n"},
		{localreply.GRPCWeb, fallback.RateLimited, 200, "application/grpc-web+proto", "\x80\x00\x00\x00\x31grpc-status: 8\r\ngrpc-message: RateLimitExceeded\r\n"},
		{localreply.GRPCWebText, fallback.BulkheadFull, 200, "application/grpc-web-text+proto", "gAAAAC1ncnBjLXN0YXR1czogMTQNCmdycGMtbWVzc2FnZTogQnVsa2hlYWRGdWxsDQo="},
		{localreply.ConnectUnary, fallback.RateLimited, 429, "application/json", `{"code":"resource_exhausted","message":"RateLimitExceeded"}`},
		{localreply.ConnectUnary, fallback.CircuitOpen, 503, "application/json", `{"code":"unavailable","message":"CircuitBreakerError"}`},
		{localreply.ConnectProto, fallback.BulkheadFull, 200, "application/connect+proto", "\x02\x00\x00\x00\x39" + `{"error":{"code":"unavailable","message":"BulkheadFull"}}`},
		{localreply.ConnectJSON, fallback.BulkheadFull, 200, "application/connect+json", "\x02\x00\x00\x00\x39" + `{"error":{"code":"unavailable","message":"BulkheadFull"}}`},
	} {
		r := replies.Make(&localreply.Request{Reason: tc.reason, Protocol: tc.protocol, Limit: &ratelimit.Verdict{}}, fallback.FromError, true)
		if r.Status != tc.status || r.ContentType() != tc.kind || string(r.Body) != tc.body {
			t.Errorf("protocol %v, %v: got %d %s %q, want %d %s %q", tc.protocol, tc.reason, r.Status, r.ContentType(), r.Body, tc.status, tc.kind, tc.body)
		}
	}
}

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/envoy/render"
)

// toHost sends requests to a cluster, over a connection of their own.
type toHost struct {
	cluster string
	http.Transport
}

func (h *toHost) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host = h.cluster
	return h.Transport.RoundTrip(r)
}

// TestConnectClients: what connect-go's clients of Connect and gRPC-Web make of refusals and fallbacks, unary and streaming.
// They never take default data for an answer; a Connect GET is answered from the cache, unless a POST to the same procedure
// came after it: that removes what is kept of the path (RFC 9111, section 4.4).
func TestConnectClients(t *testing.T) {
	t.Parallel()
	var failing atomic.Bool
	type text = wrapperspb.StringValue
	mux := http.NewServeMux()
	mux.Handle("/test.Service/Unary", connect.NewUnaryHandler("/test.Service/Unary",
		func(_ context.Context, r *connect.Request[text]) (*connect.Response[text], error) {
			return connect.NewResponse(wrapperspb.String("answer to " + r.Msg.GetValue())), nil
		}, connect.WithIdempotency(connect.IdempotencyNoSideEffects)))
	mux.Handle("/test.Service/Stream", connect.NewServerStreamHandler("/test.Service/Stream",
		func(_ context.Context, r *connect.Request[text], s *connect.ServerStream[text]) error {
			return s.Send(wrapperspb.String("answer to " + r.Msg.GetValue()))
		}))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if failing.Load() {
			http.Error(w, "sorry", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	o := options(t, `
clusters:
  open: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, fallback: {methods: [GET, HEAD, POST], `+onMiss+`}}
  limited: {rate_limit: {requests: 1, window_size: 3600s}, fallback: {methods: [GET, HEAD, POST], on: [rate_limited, upstream_failure], `+onMiss+`}}
  failing: {fallback: {methods: [GET, HEAD, POST], `+onMiss+`}}
  degraded: {fallback: {}}
`, nil)
	clusters := []string{"open", "limited", "failing", "degraded"}
	for _, cluster := range clusters {
		o.Upstreams = append(o.Upstreams, render.Upstream{Name: cluster, Host: "127.0.0.1", Port: portOf(t, strings.TrimPrefix(server.URL, "http://"))})
	}
	w := startWith(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // so that requests have connect-timeout-ms
	defer cancel()
	get := connect.WithClientOptions(connect.WithHTTPGet(), connect.WithIdempotency(connect.IdempotencyNoSideEffects))
	protocolOptions := map[string][]connect.ClientOption{
		"connect": nil, "connect, json": {connect.WithProtoJSON()}, "grpc-web": {connect.WithGRPCWeb()},
		"connect, get": {get}, "connect, get json": {get, connect.WithProtoJSON()},
	}
	protocols := []string{"connect", "connect, json", "grpc-web", "connect, get", "connect, get json"} // those by POST first
	call := func(protocol, cluster, method, message string) (string, error) {
		client := connect.NewClient[text, text](&http.Client{Transport: &toHost{cluster, http.Transport{DisableKeepAlives: true}}},
			w.url+"/test.Service/"+method, protocolOptions[protocol]...)
		if method == "Unary" {
			answer, err := client.CallUnary(ctx, connect.NewRequest(wrapperspb.String(message)))
			if err != nil {
				return "", err
			}
			return answer.Msg.GetValue(), nil
		}
		stream, err := client.CallServerStream(ctx, connect.NewRequest(wrapperspb.String(message)))
		if err != nil {
			return "", err
		}
		defer func() { _ = stream.Close() }()
		got := ""
		for stream.Receive() {
			got += stream.Msg().GetValue()
		}
		return got, stream.Err()
	}
	expect := func(protocol, cluster, method, message, want string) {
		t.Helper()
		got, err := call(protocol, cluster, method, message)
		if err != nil {
			got = connect.CodeOf(err).String()
		}
		if got != want {
			t.Errorf("%s to %s, %s %q: got %q (%v), want %q", protocol, cluster, method, message, got, err, want)
		}
	}
	for _, protocol := range protocols {
		for _, cluster := range []string{"open", "failing", "degraded"} {
			for _, method := range []string{"Unary", "Stream"} {
				expect(protocol, cluster, method, "a", "answer to a")
			}
		}
	}
	expect("connect", "limited", "Unary", "a", "answer to a")
	for _, protocol := range protocols {
		for _, method := range []string{"Unary", "Stream"} {
			expect(protocol, "limited", method, "a", connect.CodeResourceExhausted.String())
		}
	}
	failing.Store(true)
	for round := range 2 { // in the second one the breaker is open
		for _, protocol := range protocols {
			for _, cluster := range []string{"open", "failing", "degraded"} {
				want := connect.CodeUnavailable.String()
				if strings.HasPrefix(protocol, "connect, get") {
					want = "answer to a" // the kept one
				}
				expect(protocol, cluster, "Unary", "a", want)
				expect(protocol, cluster, "Unary", fmt.Sprint("never asked ", round), connect.CodeUnavailable.String())
				expect(protocol, cluster, "Stream", "a", connect.CodeUnavailable.String())
			}
		}
	}
	failing.Store(false)
	expect("connect", "failing", "Unary", "a", "answer to a")
	failing.Store(true)
	expect("connect, get", "failing", "Unary", "a", connect.CodeUnavailable.String())
	// By each client of GET in each round "never asked", and the last call.
	w.WaitMetric(`weir_cache_not_used_total{cluster="failing",reason="nothing_kept"}`, engine.Exactly(5))
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

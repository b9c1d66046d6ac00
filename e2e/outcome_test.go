package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestEachEndingCountsAsSPECSays sends one request of each kind to a cluster of its own, whose breaker opens at the
// first failure, and looks at the breaker. One Envoy serves all kinds.
func TestEachEndingCountsAsSPECSays(t *testing.T) {
	t.Parallel()
	type kind struct {
		name     string // of the cluster; grpc… speaks HTTP/2
		behaves  upstream.Behaviour
		refuse   bool
		rules    string // in circuit_breaker
		leave    time.Duration
		path     string
		failure  bool
		sees     int    // the status that the client sees, 0 where it left or the answer broke off
		grpcCode string // what a gRPC client sees
	}
	const dead = 200 * time.Millisecond
	kinds := []kind{
		{name: "ok", behaves: upstream.OK(), sees: 200},
		{name: "not-found", behaves: upstream.Status(404), sees: 404},
		{name: "not-found-listed", behaves: upstream.Status(404), rules: `expected_failures: [4xx]`, failure: true, sees: 404},
		{name: "too-many-listed", behaves: upstream.Status(429), rules: `expected_failures: ["429"]`, failure: true, sees: 429},
		{name: "error", behaves: upstream.Status(500).Body("sorry"), failure: true, sees: 500},
		{name: "error-unlisted", behaves: upstream.Status(500), rules: `expected_failures: [reset]`, sees: 500},
		{name: "refused", refuse: true, failure: true, sees: 503},
		{name: "refused-unlisted", refuse: true, rules: `expected_failures: [5xx]`, sees: 503},
		{name: "reset", behaves: upstream.Reset(), failure: true, sees: 503},
		{name: "reset-unlisted", behaves: upstream.Reset(), rules: `expected_failures: [5xx]`, sees: 503},
		{name: "timeout", behaves: upstream.Hang(), rules: `timeout: 100ms`, failure: true, sees: 504},
		{name: "slow-body", behaves: upstream.Func(headersThenNothing), rules: `timeout: 200ms`, failure: true},
		{name: "no-body", behaves: upstream.ResetAfterHeaders(), failure: true},
		{name: "half-body", behaves: upstream.HalfBody(1000), failure: true},
		{name: "left-before", behaves: upstream.Hang(), leave: dead},
		{name: "left-within", behaves: upstream.Func(headersThenNothing), leave: dead},
		{name: "direct", path: "/direct", sees: 503},
		{name: "grpc-ok", behaves: upstream.GRPC(0, true), grpcCode: "OK"},
		{name: "grpc-trailers", behaves: upstream.GRPC(14, true), failure: true, grpcCode: "Unavailable"},
		{name: "grpc-headers", behaves: upstream.GRPC(13, false), failure: true, grpcCode: "Internal"},
		{name: "grpc-benign", behaves: upstream.GRPC(5, true), grpcCode: "NotFound"},
		{name: "grpc-benign-listed", behaves: upstream.GRPC(5, true), rules: `expected_failures: ["grpc:not_found"]`, failure: true, grpcCode: "NotFound"},
	}
	var policy strings.Builder
	policy.WriteString("clusters:\n")
	upstreams := map[string]*upstream.Upstream{}
	for _, k := range kinds {
		rules := "failure_threshold: 1, recovery_timeout: 1h"
		if k.rules != "" {
			rules += ", " + k.rules
		}
		fmt.Fprintf(&policy, "  %s:\n    circuit_breaker: {%s}\n", k.name, rules)
		u := upstream.New(t)
		if k.refuse {
			u.Refuse()
		} else if k.path == "" {
			u.Set(k.behaves)
		}
		upstreams[k.name] = u
	}
	w := startWith(t, options(t, policy.String(), upstreams), func(b *bootstrapv3.Bootstrap) {
		changeRoutes(t, b, directResponses)
	})
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			w := &weir{Envoy: w.Envoy, t: t, url: w.url}
			switch {
			case k.grpcCode != "":
				if got := w.grpc(k.name); status.Code(got).String() != k.grpcCode {
					t.Errorf("the client saw %v, want %s", got, k.grpcCode)
				}
			case k.leave != 0:
				if a := w.leave(k.name, "/", k.leave); a.err == nil {
					t.Errorf("got %+v, want no response: the client was to leave", a)
				}
				upstreams[k.name].WaitClientsGone(1)
			default:
				a := w.get(k.name, "/"+strings.TrimPrefix(k.path, "/"))
				if k.sees == 0 && a.err == nil || k.sees != 0 && a.status != k.sees {
					t.Errorf("the client saw %+v, want status %d", a, k.sees)
				}
				if k.name == "error" && (a.body != "sorry" || a.source() != "upstream" || a.reason() != "upstream_failure") {
					t.Errorf("upstream's own response: got %+v, want it unchanged, and marked upstream_failure", a)
				}
				if k.name == "direct" && a.source() != "" {
					t.Errorf("a response that is not upstream's: got %+v, want it without marks", a)
				}
			}
			metric := fmt.Sprintf(`weir_breaker_transitions_total{cluster="%s",to="open"}`, k.name)
			if k.failure {
				eventually(t, func() error {
					if got := w.Prometheus()[metric]; got != 1 {
						return fmt.Errorf("%s: %v, want 1", metric, got)
					}
					return nil
				})
				if a := w.get(k.name, "/"); a.reason() != "circuit_open" {
					t.Errorf("after the failure: got %+v, want circuit_open", a)
				}
				return
			}
			// A second request shows that nothing opened: it gets through to the upstream.
			before := upstreams[k.name].Count()
			if k.name == "direct" || k.refuse {
				if a := w.get(k.name, k.path); a.reason() == "circuit_open" {
					t.Errorf("counted as a failure: got %+v, want it admitted", a)
				}
				return
			}
			upstreams[k.name].Set(upstream.OK())
			w.get(k.name, "/")
			if after := upstreams[k.name].Count(); after != before+1 {
				t.Errorf("counted as a failure: the next request did not reach the upstream")
			}
		})
	}
	if faults := w.Prometheus()["weir_faults_total"]; faults != 0 {
		t.Errorf("got %v faults, want 0", faults)
	}
}

// headersThenNothing begins an answer and never ends it.
func headersThenNothing(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("content-length", "1000")
	rw.WriteHeader(http.StatusOK)
	if _, err := rw.Write([]byte("beginning")); err != nil {
		return
	}
	if err := http.NewResponseController(rw).Flush(); err != nil {
		return
	}
	<-r.Context().Done()
}

// grpc makes one unary call with a real client and returns its error.
func (w *weir) grpc(cluster string, refusal ...*metadata.MD) error {
	w.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(w.url, "http://"),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(cluster), grpc.WithDisableRetry())
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var options []grpc.CallOption
	for _, md := range refusal {
		options = append(options, grpc.Trailer(md)) // a refusal is headers alone, which gRPC calls Trailers-Only
	}
	return conn.Invoke(w.t.Context(), "/weir.Test/Call", &emptypb.Empty{}, &emptypb.Empty{}, options...)
}

// TestGRPCRefusals: a gRPC client sees gRPC's own codes, with Weir's headers, whatever a fallback has for others.
func TestGRPCRefusals(t *testing.T) {
	t.Parallel()
	limited, failing := upstream.New(t), upstream.New(t)
	limited.Set(upstream.GRPC(0, true))
	failing.Set(upstream.GRPC(14, true))
	w := start(t, `
clusters:
  grpc-limited:
    rate_limit: {algorithm: token_bucket, burst_capacity: 1, refill_rate: 0.01}
    fallback: {enable_cache_fallback: false, on: [rate_limited], default_data: {body: {}}}
  grpc-failing:
    circuit_breaker: {failure_threshold: 1}
    fallback: {enable_cache_fallback: false, default_data: {body: {}}}
`, map[string]*upstream.Upstream{"grpc-limited": limited, "grpc-failing": failing})
	for _, tc := range []struct {
		cluster string
		first   codes.Code
		want    codes.Code
		message string
		reason  string
	}{
		{"grpc-limited", codes.OK, codes.ResourceExhausted, "RateLimitExceeded", "rate_limited"},
		{"grpc-failing", codes.Unavailable, codes.Unavailable, "CircuitBreakerError", "circuit_open"},
	} {
		if err := w.grpc(tc.cluster); status.Code(err) != tc.first {
			t.Errorf("%s: first call: got %v", tc.cluster, err)
		}
		var md metadata.MD
		err := w.grpc(tc.cluster, &md)
		if status.Code(err) != tc.want || status.Convert(err).Message() != tc.message {
			t.Errorf("%s: %v, want %v %q", tc.cluster, err, tc.want, tc.message)
		}
		if got := md.Get("x-weir-reason"); len(got) != 1 || got[0] != tc.reason {
			t.Errorf("%s: got x-weir-reason %q", tc.cluster, got)
		}
	}
}

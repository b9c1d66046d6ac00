package e2e

import (
	"net/http"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// trustClients makes loopback addresses internal ones, whose x-envoy headers Envoy's router obeys.
func trustClients(t *testing.T) func(*bootstrapv3.Bootstrap) {
	return func(b *bootstrapv3.Bootstrap) {
		filter := b.StaticResources.Listeners[0].FilterChains[0].Filters[0]
		var manager hcmv3.HttpConnectionManager
		if err := filter.GetTypedConfig().UnmarshalTo(&manager); err != nil {
			t.Fatal(err)
		}
		manager.InternalAddressConfig = &hcmv3.HttpConnectionManager_InternalAddressConfig{
			CidrRanges: []*corev3.CidrRange{{AddressPrefix: "127.0.0.0", PrefixLen: wrapperspb.UInt32(8)}},
		}
		if err := filter.GetTypedConfig().MarshalFrom(&manager); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAttemptsThatClientsAskFor: a client with an internal address may tell Envoy's router to retry. Where a cluster has
// a limit, it gets one attempt for one token, or what the section retry says. Elsewhere the router obeys, as ever.
func TestAttemptsThatClientsAskFor(t *testing.T) {
	t.Parallel()
	clusters := map[string]*upstream.Upstream{}
	for _, name := range []string{"limited", "bykey", "bucket", "retried", "shadow", "breaker", "free"} {
		clusters[name] = upstream.New(t)
		clusters[name].Set(upstream.Status(http.StatusServiceUnavailable))
	}
	w := startWith(t, options(t, `
clusters:
  limited: {rate_limit: {requests: 1000, window_size: 600s}}
  bykey: {rate_limit: {requests: 1000, window_size: 600s, key: [client_ip]}}
  bucket: {rate_limit: {algorithm: token_bucket, burst_capacity: 1000}}
  retried: {rate_limit: {requests: 1000, window_size: 600s}, retry: {max_attempts: 2, base_delay: 1ms, budget: {percent: 100, min_per_second: 100}}}
  shadow: {mode: shadow, rate_limit: {requests: 1000, window_size: 600s}}
  breaker: {circuit_breaker: {failure_threshold: 1000}}
`, clusters), trustClients(t))
	const asks = "x-envoy-retry-on: 5xx, x-envoy-max-retries: 20"
	for _, tc := range []struct {
		cluster, method, headers string
		want                     int // requests at upstream
	}{
		{"free", "GET", asks, 21}, // so the router obeys here
		{"breaker", "GET", asks, 21},
		{"shadow", "GET", asks, 21}, // nothing acts
		{"limited", "GET", asks, 1},
		{"limited", "POST", asks, 1},
		{"limited", "GET", "x-envoy-retry-on: retriable-status-codes, x-envoy-retriable-status-codes: 503", 1},
		{"limited", "GET", "x-envoy-retry-grpc-on: unavailable, x-envoy-max-retries: 20, x-envoy-retry-on: gateway-error", 1},
		{"limited", "GET", asks + ", x-envoy-hedge-on-per-try-timeout: true, x-envoy-upstream-rq-per-try-timeout-ms: 500", 1},
		{"bykey", "GET", asks, 1},
		{"bucket", "GET", asks, 1},
		{"retried", "GET", asks, 2},
		{"retried", "POST", asks, 1},
	} {
		t.Run(tc.cluster+"/"+tc.method+" "+tc.headers, func(t *testing.T) {
			w := w.in(t)
			before := clusters[tc.cluster].Count()
			r := w.request(t.Context(), tc.method, tc.cluster, "/")
			for h := range strings.SplitSeq(tc.headers, ", ") {
				name, value, _ := strings.Cut(h, ": ")
				r.Header.Set(name, value)
			}
			if a := w.do(r); a.status != http.StatusServiceUnavailable {
				t.Errorf("got %d, %v, want upstream's 503", a.status, a.err)
			}
			if got := clusters[tc.cluster].Count() - before; got != tc.want {
				t.Errorf("got %d requests at upstream, want %d", got, tc.want)
			}
		})
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

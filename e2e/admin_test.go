package e2e

import (
	"net/http"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-mesh/weir/e2e/upstream"
)

const adminPolicy = `
clusters:
  limited:  {rate_limit: {requests: 5, window_size: 3600s}}
  bucket:   {rate_limit: {algorithm: token_bucket, burst_capacity: 4, refill_rate: 0.001}}
  keyed:    {rate_limit: {requests: 2, window_size: 3600s, key: [{header: x-tenant}]}}
  learning: {rate_limit: {algorithm: adaptive, requests: 100, window_size: 600s, backoff_factor: 0.5, adaptive_interval: 100ms, adaptive_min_samples: 10}}
  broken:   {circuit_breaker: {failure_threshold: 3, recovery_timeout: 60s, success_threshold: 2, failure_rate: {threshold: 0.25}}, fallback: {default_data: {body: sorry}}}
  cached:   {circuit_breaker: {failure_threshold: 100}, fallback: {fallback_data_ttl: 300s}}
  forced:   {circuit_breaker: {failure_threshold: 2, recovery_timeout: 60s, success_threshold: 1}}
  bulk:     {bulkhead: {max_concurrent: 2}}
  shadowed: {mode: shadow, rate_limit: {requests: 1, window_size: 3600s}}
  retrying: {retry: {max_attempts: 3, base_delay: 10ms, budget: {percent: 0, min_per_second: 1}}}
  home:     {circuit_breaker: {failure_threshold: 1, recovery_timeout: 60s}, failover: {to: [away]}}
  gone:     {bulkhead: {}}
  "team-*": {rate_limit: {requests: 7, window_size: 60s}}
  unused:   {circuit_breaker: {}}
  idle:     {mode: "off", circuit_breaker: {}}
`

// administered is an Envoy with the admin listener and an upstream for each cluster.
type administered struct {
	*weir
	*console
	up map[string]*upstream.Upstream
}

func startAdministered(t *testing.T) *administered {
	t.Helper()
	up := map[string]*upstream.Upstream{}
	for _, name := range []string{
		"limited", "bucket", "keyed", "learning", "broken", "cached", "forced", "bulk", "shadowed", "retrying", "home", "away", "gone", "team-1", "unused", "idle",
	} {
		up[name] = upstream.New(t)
	}
	o := options(t, adminPolicy, up)
	withAdmin(&o)
	w := startWith(t, o, func(b *bootstrapv3.Bootstrap) { // as an operator would write it who wants no panic
		for _, c := range b.GetStaticResources().GetClusters() {
			if c.GetName() != "gone" {
				continue
			}
			c.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{}}
			c.HealthChecks = []*corev3.HealthCheck{{
				Timeout: durationpb.New(time.Second), Interval: durationpb.New(100 * time.Millisecond),
				NoTrafficInterval: durationpb.New(100 * time.Millisecond), UnhealthyInterval: durationpb.New(100 * time.Millisecond),
				UnhealthyThreshold: wrapperspb.UInt32(1), HealthyThreshold: wrapperspb.UInt32(1),
				HealthChecker: &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}},
			}}
		}
	})
	return &administered{weir: w, console: w.console(), up: up}
}

// TestAdmin: each field of the status against the truth of a scenario, and what an operator does against the traffic.
func TestAdmin(t *testing.T) {
	t.Parallel()
	a := startAdministered(t)
	t.Run("before any traffic", func(t *testing.T) { a.in(t).testBefore() })
	t.Run("limits", func(t *testing.T) { a.in(t).testLimits() })
	t.Run("a breaker", func(t *testing.T) { a.in(t).testBreaker() })
	t.Run("sources", func(t *testing.T) { a.in(t).testSources() })
	t.Run("a bulkhead", func(t *testing.T) { a.in(t).testBulkhead() })
	t.Run("retries and failover", func(t *testing.T) { a.in(t).testRetries() })
	t.Run("no healthy host", func(t *testing.T) { a.in(t).testNoHealthyHost() })
	t.Run("force", func(t *testing.T) { a.in(t).testForce() })
	t.Run("reset", func(t *testing.T) { a.in(t).testReset() })
	t.Run("bad input", func(t *testing.T) { a.in(t).testBadInput() })
	t.Run("the page", func(t *testing.T) { a.in(t).testPage() })
	if n := a.Prometheus()["weir_faults_total"]; n != 0 {
		t.Errorf("got %v faults, want 0", n)
	}
}

func (a *administered) in(t *testing.T) *administered {
	return &administered{weir: a.weir.in(t), console: &console{t, a.console.url}, up: a.up}
}

// tell is the test that runs.
func (a *administered) testing() *testing.T { return a.console.t }

// times sends n requests to a cluster and counts the responses by status.
func (a *administered) times(n int, cluster string, headers ...string) map[int]int {
	a.testing().Helper()
	statuses := map[int]int{}
	for range n {
		statuses[a.send(http.MethodGet, cluster, "/", headers...).status]++
	}
	return statuses
}

func (a *administered) testPage() { checkPage(a.testing(), a.page()) }

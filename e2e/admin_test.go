package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/filter/admin/page"
)

const adminPolicy = `
clusters:
  limited:  {rate_limit: {requests: 5, window_size: 3600s}}
  bucket:   {rate_limit: {algorithm: token_bucket, burst_capacity: 4, refill_rate: 0.001}}
  keyed:    {rate_limit: {requests: 2, window_size: 3600s, key: [{header: x-tenant}]}}
  learning: {rate_limit: {algorithm: adaptive, requests: 100, window_size: 600s, backoff_factor: 0.5, adaptive_interval: 100ms, adaptive_min_samples: 10}}
  broken:   {circuit_breaker: {failure_threshold: 3, recovery_timeout: 60s, success_threshold: 2}, fallback: {default_data: {body: sorry}}}
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
		t.Errorf("%v faults", n)
	}
}

func (a *administered) in(t *testing.T) *administered {
	return &administered{weir: a.weir.in(t), console: &console{t, a.console.url}, up: a.up}
}

// tell is the test that runs.
func (a *administered) tell() *testing.T { return a.console.t }

// times asks a cluster some times and counts the answers by status.
func (a *administered) times(n int, cluster string, headers ...string) map[int]int {
	a.tell().Helper()
	statuses := map[int]int{}
	for range n {
		statuses[a.send(http.MethodGet, cluster, "/", headers...).status]++
	}
	return statuses
}

func (a *administered) testBefore() {
	s := a.status()
	for _, cluster := range []string{"limited", "bucket", "keyed", "learning", "broken", "forced", "bulk", "shadowed", "home", "unused"} {
		if got := s.at("clusters." + cluster + ".requests.allowed"); got != 0.0 {
			a.tell().Errorf("%s: %v requests before the first", cluster, got)
		}
	}
	for path, want := range map[string]any{
		"clusters.team-*": "absent", "clusters.team-1": "absent", // a pattern's clusters are known when they are used
		"clusters.idle.mode":                    "off",
		"clusters.idle.circuit_breaker":         "absent",
		"clusters.shadowed.mode":                "shadow",
		"clusters.limited.mode":                 "enforce",
		"clusters.limited.circuit_breaker":      "absent",
		"clusters.unused.rate_limit":            "absent",
		"clusters.unused.circuit_breaker.state": "closed",
		"clusters.unused.circuit_breaker.since": nil,
		"redis.state":                           "off",
		"redis.calls_total":                     0.0,
	} {
		if got := s.at(path); got != want {
			a.tell().Errorf("%s: %v, want %v", path, got, want)
		}
	}
	if err := during(time.Now().Add(-time.Second), time.Now())(s.at("time")); err != nil {
		a.tell().Error(err)
	}
}

func (a *administered) testLimits() {
	t := a.tell()
	if got := a.times(8, "limited"); got[200] != 5 || got[429] != 3 {
		t.Fatalf("limited: %v", got)
	}
	a.shows("limited", map[string]any{
		"mode": "enforce", "rate_limit.algorithm": "sliding_window", "rate_limit.scope": "proxy", "rate_limit.window": 3600.0,
		"rate_limit.requests_per_minute": 0.083, "rate_limit.configured_requests_per_minute": 0.083,
		"rate_limit.remaining": 0.0, "rate_limit.success_rate": nil, "rate_limit.limited_total": 3.0, "rate_limit.keyed": false,
		"requests.allowed": 5.0, "requests.rate_limited": 3.0, "requests.circuit_open": 0.0,
		"answers.upstream": 5.0, "answers.error": 3.0, "fallback": "absent", "bulkhead": "absent", "retry": "absent",
	})
	if got := a.times(3, "bucket"); got[200] != 3 {
		t.Fatalf("bucket: %v", got)
	}
	a.shows("bucket", map[string]any{"rate_limit.algorithm": "token_bucket", "rate_limit.requests_per_minute": 0.06, "rate_limit.remaining": 1.0, "rate_limit.window": 4000.0})
	for _, tenant := range []string{"a", "b"} {
		if got := a.times(3, "keyed", "x-tenant", tenant); got[429] != 1 {
			t.Fatalf("keyed: %v", got)
		}
	}
	a.shows("keyed", map[string]any{"rate_limit.keyed": true, "rate_limit.remaining": nil, "rate_limit.limited_total": 2.0, "requests.allowed": 4.0})
	if got := a.times(3, "shadowed"); got[200] != 3 {
		t.Fatalf("shadowed: %v", got)
	}
	a.shows("shadowed", map[string]any{"mode": "shadow", "requests.allowed": 1.0, "requests.rate_limited": 2.0, "rate_limit.remaining": 0.0, "answers.upstream": 3.0})
	a.times(2, "team-1")
	a.shows("team-1", map[string]any{"rate_limit.requests_per_minute": 7.0, "rate_limit.remaining": 5.0})

	a.up["learning"].Set(upstream.Status(500))
	for range 3 {
		a.times(12, "learning")
		time.Sleep(120 * time.Millisecond) // an interval of the adaptive limit
	}
	a.shows("learning", map[string]any{
		"rate_limit.algorithm": "adaptive", "rate_limit.configured_requests_per_minute": 10.0, "rate_limit.success_rate": 0.0,
		"rate_limit.requests_per_minute": within(1, 5),
	})
	a.WaitMetric(`weir_success_ratio{cluster="learning"}`, engine.Exactly(0))
	eventually(t, func() error {
		now := a.status().at("clusters.learning.rate_limit.requests_per_minute").(float64)
		if shown := a.Prometheus()[`weir_rate_limit_current{cluster="learning"}`]; shown != math.Round(now) {
			return fmt.Errorf("the gauge shows %v, the status %v", shown, now)
		}
		return nil
	})
	a.WaitMetric(`weir_rate_limit_current{cluster="team-1"}`, engine.Exactly(7))
}

func (a *administered) testBreaker() {
	t := a.tell()
	a.shows("broken", map[string]any{
		"circuit_breaker.state": "closed", "circuit_breaker.forced": "auto", "circuit_breaker.since": nil, "circuit_breaker.opened_at": nil,
		"circuit_breaker.failure_threshold": 3.0, "circuit_breaker.success_threshold": 2.0, "circuit_breaker.recovery_timeout": 60.0,
	})
	a.up["broken"].Set(upstream.Status(500))
	a.times(2, "broken")
	a.shows("broken", map[string]any{"circuit_breaker.failure_count": 2.0, "answers.default": 2.0})
	before := time.Now()
	a.times(1, "broken")
	after := time.Now()
	a.times(4, "broken")
	a.shows("broken", map[string]any{
		"circuit_breaker.state": "open", "circuit_breaker.since": during(before, after), "circuit_breaker.opened_at": during(before, after),
		"circuit_breaker.opens_total": 1.0, "circuit_breaker.retry_after": within(20, 60),
		"requests.allowed": 3.0, "requests.circuit_open": 4.0, "answers.default": 7.0, "fallback.default": 7.0, "fallback.error": 0.0, "fallback.upstream": "absent",
	})
	retry := func() float64 { return a.status().at("clusters.broken.circuit_breaker.retry_after").(float64) }
	first := retry()
	eventually(t, func() error {
		if now := retry(); now >= first {
			return fmt.Errorf("the wait does not pass: %v, %v", first, now)
		}
		return nil
	})
	a.WaitMetric(`weir_breaker_state{cluster="broken"}`, engine.Exactly(2))
}

func (a *administered) testSources() {
	t := a.tell()
	if got := a.send(http.MethodGet, "cached", "/prices"); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	a.up["cached"].Set(upstream.Status(500))
	eventually(t, func() error {
		if got := a.send(http.MethodGet, "cached", "/prices"); got.source() != "cache" {
			return fmt.Errorf("not from the cache: %+v", got)
		}
		return nil
	})
	a.shows("cached", map[string]any{"answers.upstream": 1.0, "answers.cache": within(1, 1e6)})
	for _, tc := range []struct{ path, source string }{
		{"/cache/invalidate?cluster=cached&path=%2Fother", "cache"},
		{"/cache/invalidate?cluster=cached&path=%2Fprices", "degraded"},
	} {
		a.does(tc.path)
		if got := a.send(http.MethodGet, "cached", "/prices"); got.source() != tc.source {
			t.Errorf("after %s: %+v", tc.path, got)
		}
	}
	a.shows("cached", map[string]any{"answers.degraded": 1.0, "fallback.degraded": 1.0})
	a.up["cached"].Set(upstream.OK())
	eventually(t, func() error { // once a second at most is stored
		a.up["cached"].Set(upstream.OK())
		a.send(http.MethodGet, "cached", "/prices")
		a.up["cached"].Set(upstream.Status(500))
		if got := a.send(http.MethodGet, "cached", "/prices"); got.source() != "cache" {
			return fmt.Errorf("not kept again: %+v", got)
		}
		return nil
	})
	a.does("/cache/invalidate?cluster=cached")
	if got := a.send(http.MethodGet, "cached", "/prices"); got.source() != "degraded" {
		t.Errorf("after an invalidation: %+v", got)
	}
}

func (a *administered) testBulkhead() {
	t := a.tell()
	a.up["bulk"].Set(upstream.Delay(3 * time.Second))
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() { a.send(http.MethodGet, "bulk", "/") })
	}
	a.shows("bulk", map[string]any{"bulkhead.in_flight": 2.0, "bulkhead.max_concurrent": 2.0, "bulkhead.rejected_total": 0.0})
	if got := a.send(http.MethodGet, "bulk", "/"); got.status != 503 {
		t.Errorf("a third: %+v", got)
	}
	a.WaitMetric(`weir_in_flight{cluster="bulk"}`, engine.Exactly(2))
	running.Wait()
	a.shows("bulk", map[string]any{"bulkhead.in_flight": 0.0, "bulkhead.rejected_total": 1.0, "requests.bulkhead_full": 1.0, "requests.allowed": 2.0})
	a.WaitMetric(`weir_in_flight{cluster="bulk"}`, engine.Exactly(0))
}

func (a *administered) testRetries() {
	t := a.tell()
	a.shows("retrying", map[string]any{"retry.budget_remaining": 10.0})
	a.up["retrying"].Set(upstream.Status(500))
	a.times(1, "retrying")
	a.shows("retrying", map[string]any{"retry.attempts_total": 2.0, "retry.exhausted_total": 1.0, "retry.budget_remaining": 8.0})

	a.up["home"].Set(upstream.Status(500))
	a.times(1, "home")
	if got := a.times(3, "home"); got[200] != 3 {
		t.Fatalf("failover: %v", got)
	}
	a.shows("home", map[string]any{"failover.to": []any{"away"}, "failover.to_total": 3.0, "circuit_breaker.state": "open"})
	a.shows("away", map[string]any{"mode": "enforce", "answers.upstream": 3.0})
}

func (a *administered) testNoHealthyHost() {
	t := a.tell()
	a.times(1, "gone")
	a.shows("gone", map[string]any{"upstream.no_healthy_host": false})
	a.up["gone"].Refuse()
	eventually(t, func() error { // the health check takes the only host out
		got := a.send(http.MethodGet, "gone", "/")
		s, err := a.console.get("/status/gone")
		if err != nil {
			return err
		}
		if none := strings.Contains(got.body, "no healthy upstream"); s.at("upstream.no_healthy_host") != none || !none {
			return fmt.Errorf("%v after %q", s.at("upstream"), got.body)
		}
		return nil
	})
	a.WaitMetric(`weir_no_healthy_host{cluster="gone"}`, engine.Exactly(1))
	a.up["gone"].Accept()
	eventually(t, func() error {
		a.send(http.MethodGet, "gone", "/")
		if s, err := a.console.get("/status/gone"); err != nil || s.at("upstream.no_healthy_host") != false {
			return fmt.Errorf("%v %w", s, err)
		}
		return nil
	})
}

func (a *administered) testForce() {
	t := a.tell()
	a.shows("forced", map[string]any{"circuit_breaker.state": "closed", "circuit_breaker.forced": "auto"})
	before := time.Now()
	a.does("/breaker/forced/open")
	after := time.Now()
	for range 4 { // both workers
		if got := a.send(http.MethodGet, "forced", "/"); got.status != 503 || got.reason() != "circuit_open" || got.header.Get("retry-after") != "" {
			t.Errorf("forced open: %+v", got)
		}
	}
	if n := a.up["forced"].Count(); n != 0 {
		t.Errorf("%d requests went upstream", n)
	}
	a.shows("forced", map[string]any{
		"circuit_breaker.state": "open", "circuit_breaker.forced": "open", "circuit_breaker.since": during(before, after),
		"circuit_breaker.retry_after": 0.0, "requests.circuit_open": 4.0,
	})
	a.WaitMetric(`weir_breaker_state{cluster="forced"}`, engine.Exactly(2))
	a.does("/breaker/forced/auto") // the next is a probe, and it closes
	if got := a.times(1, "forced"); got[200] != 1 {
		t.Errorf("a probe: %v", got)
	}
	a.shows("forced", map[string]any{"circuit_breaker.state": "closed", "circuit_breaker.forced": "auto"})

	a.does("/breaker/forced/close")
	a.up["forced"].Set(upstream.Status(500))
	if got := a.times(6, "forced"); got[500] != 6 {
		t.Errorf("forced closed: %v", got)
	}
	a.shows("forced", map[string]any{"circuit_breaker.state": "closed", "circuit_breaker.forced": "closed", "circuit_breaker.failure_count": 0.0})
	a.does("/breaker/forced/auto")
	if got := a.times(3, "forced"); got[500] != 2 || got[503] != 1 {
		t.Errorf("left alone again: %v", got)
	}
	a.shows("forced", map[string]any{"circuit_breaker.state": "open", "circuit_breaker.opens_total": 2.0})
	// closed -> open by hand, half-open by the probe, closed by it, open by two failures: each once, in counts and in the log.
	for to, n := range map[string]float64{"open": 2, "half_open": 1, "closed": 1} {
		a.WaitMetric(`weir_breaker_transitions_total{cluster="forced",to="`+to+`"}`, engine.Exactly(n))
	}
	if n := strings.Count(a.Logs(), "weir: forced: circuit breaker closed -> open (operator)"); n != 1 {
		t.Errorf("the forced transition was logged %d times", n)
	}
}

func (a *administered) testReset() {
	t := a.tell()
	for _, cluster := range []string{"limited", "keyed", "broken", "retrying", "bulk"} {
		a.does("/reset/" + cluster)
	}
	a.shows("limited", map[string]any{
		"rate_limit.remaining": 5.0, "rate_limit.limited_total": 0.0, "requests.allowed": 0.0, "requests.rate_limited": 0.0, "answers.upstream": 0.0, "answers.error": 0.0,
	})
	if got := a.times(6, "limited"); got[200] != 5 || got[429] != 1 {
		t.Errorf("limited: %v", got)
	}
	a.shows("limited", map[string]any{"rate_limit.limited_total": 1.0, "requests.allowed": 5.0, "rate_limit.remaining": 0.0})
	if got := a.times(3, "keyed", "x-tenant", "a"); got[200] != 2 || got[429] != 1 {
		t.Errorf("keyed: %v", got)
	}
	a.shows("broken", map[string]any{
		"circuit_breaker.state": "closed", "circuit_breaker.opens_total": 0.0, "circuit_breaker.failure_count": 0.0, "requests.circuit_open": 0.0, "fallback.default": 0.0,
	})
	a.up["broken"].Set(upstream.OK())
	if got := a.send(http.MethodGet, "broken", "/"); got.source() != "upstream" {
		t.Errorf("broken: %+v", got)
	}
	a.WaitMetric(`weir_breaker_state{cluster="broken"}`, engine.Exactly(0))
	a.shows("retrying", map[string]any{"retry.attempts_total": 0.0, "retry.exhausted_total": 0.0, "retry.budget_remaining": 10.0})
	a.shows("bulk", map[string]any{"bulkhead.rejected_total": 0.0, "bulkhead.in_flight": 0.0})
	// Metrics only grow.
	if n := a.Prometheus()[`weir_requests_total{cluster="limited",decision="rate_limited"}`]; n != 4 {
		t.Errorf("the metric has %v", n)
	}
}

func (a *administered) testBadInput() {
	t := a.tell()
	host := strings.TrimPrefix(a.console.url, "http://")
	json := []string{"content-type", "application/json"}
	for _, tc := range []struct {
		method, path, body string
		headers            []string
		status             int
	}{
		{"GET", "/status/none", "", nil, 404},
		{"GET", "/status/%zz", "", nil, 400},
		{"GET", "/status/lim%69ted", "", nil, 200},
		{"GET", "/nowhere", "", nil, 404},
		{"GET", "/status/", "", nil, 200},
		{"HEAD", "/status", "", nil, 200},
		{"HEAD", "/", "", nil, 200},
		{"OPTIONS", "/reset/limited", "", nil, 204},
		{"GET", "/reset/limited", "", nil, 405},
		{"PUT", "/reset/limited", "{}", json, 405},
		{"DELETE", "/status", "", nil, 405},
		{"PATCH", "/", "", nil, 405},
		{"POST", "/status", "", nil, 405},
		{"POST", "/reset/none", "", nil, 404},
		{"POST", "/reset/" + strings.Repeat("a", 8000), "", nil, 404},
		{"POST", "/breaker/limited/open", "", nil, 400},
		{"POST", "/breaker/unused/ajar", "", nil, 404},
		{"POST", "/cache/invalidate?cluster=unused", "", nil, 400},
		{"POST", "/cache/invalidate", "", nil, 400},
		{"POST", "/reset/unused", "{}", json, 200},
		{"POST", "/reset/unused", "{}", []string{"content-type", "text/plain"}, 415},
		{"POST", "/reset/unused", "a=b", []string{"content-type", "application/x-www-form-urlencoded"}, 415},
		{"POST", "/reset/unused", strings.Repeat("x", 4097), json, 413},
		{"POST", "/reset/unused", strings.Repeat("x", 4<<20), json, 413},
		{"POST", "/reset/unused", "", []string{"origin", "http://" + host}, 200},
		{"POST", "/reset/unused", "", []string{"origin", "http://evil.example"}, 403},
		{"POST", "/reset/unused", "", []string{"origin", "null"}, 403},
		{"POST", "/reset/unused", "", []string{"sec-fetch-site", "cross-site"}, 403},
		{"POST", "/reset/unused", "", []string{"sec-fetch-site", "same-origin", "origin", "http://" + host}, 200},
		{"POST", "/reset/unused", "", []string{"Host", "evil.example", "origin", "http://evil.example"}, 403},
		{"GET", "/status", "", []string{"Host", "evil.example"}, 403},
		{"GET", "/status", "", []string{"Host", "localhost"}, 200},
	} {
		got := a.ask(tc.method, tc.path, tc.body, tc.headers...)
		if got.err != nil || got.status != tc.status {
			t.Errorf("%s %.40s %q: %d %.200s %v, want %d", tc.method, tc.path, tc.headers, got.status, got.body, got.err, tc.status)
			continue
		}
		if tc.method != "HEAD" && tc.status >= 400 && !isError(got.body) {
			t.Errorf("%s %.40s: no reason in %q", tc.method, tc.path, got.body)
		}
		if (tc.method == "HEAD" || tc.method == "OPTIONS") && got.body != "" {
			t.Errorf("%s %.40s: a body: %q", tc.method, tc.path, got.body)
		}
		if got.header.Get("cache-control") != "no-store" || got.header.Get("x-content-type-options") != "nosniff" {
			t.Errorf("%s %.40s: %v", tc.method, tc.path, got.header)
		}
		if (tc.status == 405 || tc.method == "OPTIONS") != (got.header.Get("allow") != "") {
			t.Errorf("%s %.40s: allow %q", tc.method, tc.path, got.header.Get("allow"))
		}
	}
}

// isError says whether an answer has a reason.
func isError(body string) bool {
	var e struct{ Error string }
	return json.Unmarshal([]byte(body), &e) == nil && e.Error != ""
}

func (a *administered) testPage() {
	got := a.ask(http.MethodGet, "/", "")
	if got.status != 200 || got.body != string(page.HTML) || got.header.Get("content-security-policy") != page.CSP || got.header.Get("content-type") != page.ContentType {
		a.tell().Errorf("%d %v, %d bytes", got.status, got.header, len(got.body))
	}
}

// TestAdminOverReload: clusters that a new policy has no more are no more shown, those that stay keep what they counted.
func TestAdminOverReload(t *testing.T) {
	t.Parallel()
	failing := upstream.New(t)
	failing.Set(upstream.Status(500))
	strange := "a/b%c <d>"
	ups := map[string]*upstream.Upstream{"stays": upstream.New(t), "goes": failing, "comes": upstream.New(t)}
	policy := func(middle string) string {
		return `{clusters: {stays: {rate_limit: {requests: 10, window_size: 3600s}}, "` + strange + `": {circuit_breaker: {}}, ` + middle + `}}`
	}
	w := startWatched(t, policy(`goes: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}}`), ups, withAdmin)
	c := w.console()
	for range 4 {
		w.get("stays", "/")
	}
	w.get("goes", "/")
	c.shows("goes", map[string]any{"circuit_breaker.state": "open"})
	c.shows(strange, map[string]any{"cluster": strange})
	w.WaitMetric(`weir_breaker_state{cluster="goes"}`, engine.Exactly(2))

	w.replace(badPolicy, "config_fail")
	c.shows("goes", map[string]any{"circuit_breaker.state": "open"})

	w.replace(policy(`comes: {bulkhead: {}}`), "config_reload")
	eventually(t, func() error {
		s := c.status()
		if s.at("clusters.goes") != "absent" || s.at("clusters.comes.bulkhead.max_concurrent") != 100.0 {
			return fmt.Errorf("%v", s)
		}
		return nil
	})
	if a := c.ask(http.MethodGet, "/status/goes", ""); a.status != 404 {
		t.Errorf("%+v", a)
	}
	if a := c.ask(http.MethodPost, "/breaker/"+url.PathEscape(strange)+"/open", ""); a.status != 200 {
		t.Errorf("%+v", a)
	}
	c.shows("stays", map[string]any{"rate_limit.remaining": 6.0, "requests.allowed": 4.0})
	w.WaitMetric(`weir_breaker_state{cluster="goes"}`, engine.Exactly(0)) // or an alert on it would never end

	// It comes back as it was, for its record outlives the policy.
	w.replace(policy(`goes: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}}`), "config_reload")
	c.shows("goes", map[string]any{"circuit_breaker.state": "open"})
	w.get("goes", "/")
	w.WaitMetric(`weir_breaker_state{cluster="goes"}`, engine.Exactly(2))
}

// TestAdminOfAMesh: what Redis told is shown, and a reset reaches Redis, once.
func TestAdminOfAMesh(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	u := upstream.New(t)
	o := options(t, fmt.Sprintf(`
redis: {dialect: %s, token: %q, timeout: 1s}
clusters:
  shared: {rate_limit: {scope: mesh, requests: 20, window_size: 600s, lease: {max_tokens: 1}}}
  keyed:  {rate_limit: {scope: mesh, requests: 3, window_size: 600s, lease: {max_tokens: 1}, key: [{header: x-tenant}]}}
`, m.bridges[0].Dialect(), meshToken), map[string]*upstream.Upstream{"shared": u, "keyed": u})
	o.Redis = &render.Upstream{Name: "redis_http", Host: "127.0.0.1", Port: uint32(m.bridges[0].Port)}
	withAdmin(&o)
	w := startWith(t, o)
	c := w.console()
	ask := func(cluster string) int { return w.send(http.MethodGet, cluster, "/", "x-tenant", "a").status }
	for round := range 2 {
		for cluster, limit := range map[string]int{"shared": 20, "keyed": 3} {
			admitted, refused := 0, 0
			count := func() {
				if ask(cluster) == 200 {
					admitted++
				} else {
					refused++
				}
			}
			eventually(t, func() error { // after a reset a worker may refuse for as long as until its next beat
				if count(); admitted < limit {
					return fmt.Errorf("round %d, %s: %d admitted, %d refused", round, cluster, admitted, refused)
				}
				return nil
			})
			for range 5 {
				count()
			}
			if admitted != limit {
				t.Errorf("round %d, %s: %d admitted, the limit is %d", round, cluster, admitted, limit)
			}
			c.shows(cluster, map[string]any{"rate_limit.scope": "mesh", "rate_limit.limited_total": float64(refused), "requests.allowed": float64(admitted)})
		}
		c.shows("shared", map[string]any{"rate_limit.remaining": 0.0, "rate_limit.requests_per_minute": 2.0})
		c.shows("keyed", map[string]any{"rate_limit.remaining": nil, "rate_limit.keyed": true})
		if s := c.status(); s.at("redis.state") != "ok" || s.at("redis.errors_total") != 0.0 || s.at("redis.calls_total").(float64) < 20 {
			t.Errorf("redis: %v", s.at("redis"))
		}
		if round == 1 {
			break
		}
		for _, cluster := range []string{"shared", "keyed"} {
			c.does("/reset/" + cluster)
			w.WaitLog("weir: " + cluster + ": reset, carried on to Redis")
		}
		c.shows("shared", map[string]any{"rate_limit.remaining": 20.0, "rate_limit.limited_total": 0.0, "requests.allowed": 0.0})
	}
	for _, cluster := range []string{"shared", "keyed"} {
		if n := strings.Count(w.Logs(), "weir: "+cluster+": reset, carried on to Redis"); n != 1 {
			t.Errorf("%s: one reset was carried on %d times", cluster, n)
		}
	}
	m.bridges[0].Kill()
	eventually(t, func() error {
		ask("keyed")
		if got := c.status().at("redis.state"); got != "trouble" {
			return fmt.Errorf("without Redis: %v", got)
		}
		return nil
	})
}

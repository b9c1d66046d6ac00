package e2e

import (
	"context"
	"fmt"
	"math"
	"slices"
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
)

// TestCacheChain: what answers in upstream's place as time passes, and for each reason.
func TestCacheChain(t *testing.T) {
	t.Parallel()
	reasons := reasonCases()
	policy, upstreams := reasonPolicy(t, reasons)
	aging := upstream.New(t)
	aging.Set(upstream.Status(500).Body("sorry").Header("x-own", "1"))
	aging.When(healthy, upstream.Body("fresh").Header("x-price", "12"))
	for _, end := range chainEnds {
		upstreams["with-"+end] = aging
	}
	w := startWith(t, options(t, "clusters:\n"+agingPolicy+policy, upstreams), func(b *bootstrapv3.Bootstrap) {
		for _, c := range b.GetStaticResources().GetClusters() {
			if c.GetName() == "unhealthy" {
				checkHealth(c)
			}
		}
	})
	t.Run("as time passes", func(t *testing.T) { asTimePasses(t, w.in(t)) })
	for _, c := range reasons {
		t.Run(c.name, func(t *testing.T) { forReason(t, w.in(t), c, upstreams[c.name]) })
	}
	w.WaitMetric(`weir_responses_total{cluster="open",source="cache"}`, engine.Exactly(4))
	w.WaitMetric(`weir_responses_total{cluster="limited",source="cache"}`, engine.Exactly(3))
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// The time that an entry has in the chains that age, written short, so that none has to be moved.
const freshFor, staleFor = 700 * time.Millisecond, 1700 * time.Millisecond

const agingPolicy = `
  with-default:  {fallback: {fallback_data_ttl: 700ms, cache_staleness_threshold: 1700ms, default_data: {status: 203, body: {services: []}}}}
  with-degraded: {fallback: {fallback_data_ttl: 700ms, cache_staleness_threshold: 1700ms, default_data: {body: unused}, enable_default_fallback: false,
                  degraded: {status: 502, limitations: ["prices may be missing"]}}}
  with-upstream: {fallback: {fallback_data_ttl: 700ms, cache_staleness_threshold: 1700ms, default_data: {body: unused}, enable_default_fallback: false,
                  enable_degraded_mode: false}}
`

// chainEnds are the last links of the chains, by cluster: with-default, …
var chainEnds = []string{"default", "degraded", "upstream"}

// asTimePasses goes through the whole chain, in three clusters that differ in its end: fresh from upstream; upstream
// fails: the cache, the stale cache with a warning; too old: default data, degraded mode, upstream's own answer
// untouched.
func asTimePasses(t *testing.T, w *weir) {
	// A machine that stalls may be asleep for the whole of a step. Then the chain is gone through again, by another
	// path.
	for try := range 5 {
		path := fmt.Sprintf("/%d", try)
		seen := map[string][]string{}
		since, until := map[string]time.Time{}, map[string]time.Time{}
		for _, end := range chainEnds {
			since[end] = time.Now()
			a := fill(t, w.get("with-"+end, path))
			until[end] = time.Now()
			if a.body != "fresh" || a.header.Get("age") != "" || a.header.Get("x-weir-fallback-used") != "" {
				t.Fatalf("from upstream: got %+v, want body fresh without age and fallback mark", a)
			}
		}
		for step := 0; step < len(chainEnds); time.Sleep(20 * time.Millisecond) {
			step = 0
			for _, end := range chainEnds {
				asked := time.Now()
				a := w.sendFailing("GET", "with-"+end, path)
				least, most := asked.Sub(until[end]), time.Since(since[end])
				source := a.source()
				if could := sourcesAt(least, most, end); !slices.Contains(could, source) {
					t.Fatalf("after %v to %v: %+v, want it from %v", least, most, a, could)
				}
				if !slices.Contains(seen[end], source) {
					seen[end] = append(seen[end], source)
				}
				if source == end {
					step++
					continue
				}
				hit(t, "with-"+end, a, source, "fresh")
				if a.status != 200 || a.header.Get("x-price") != "12" || a.reason() != "upstream_failure" {
					t.Errorf("%s: got %+v, want status 200, x-price 12, upstream_failure", source, a)
				}
				if got := float64(age(a)); got < math.Floor(least.Seconds()) || got > math.Ceil(most.Seconds()) {
					t.Errorf("got age %v, want it between %v and %v", got, least, most)
				}
			}
		}
		complete := true
		for _, end := range chainEnds {
			complete = complete && slices.Equal(seen[end], []string{"cache", "stale_cache", end})
		}
		if !complete {
			t.Logf("the machine slept over a step: %v", seen)
			continue
		}

		// Too old for the cache: each chain ends with its last link.
		a := w.sendFailing("GET", "with-default", path)
		if a.status != 203 || a.body != `{"services":[]}` || a.source() != "default" || a.header.Get("x-weir-fallback-used") != "true" || a.header.Get("age") != "" {
			t.Errorf("default data: got %+v, want status 203, source default, the fallback mark and no age", a)
		}
		a = w.sendFailing("GET", "with-degraded", path)
		if a.status != 502 || a.header.Get("content-type") != "application/problem+json" || a.header.Get("x-weir-degraded-mode") != "true" {
			t.Errorf("degraded: got %+v, want status 502, application/problem+json and the degraded mark", a)
		}
		if p := problemOf(t, a.body); !p.DegradedMode || !p.FallbackUsed || p.Source != "degraded" || !slices.Equal(p.Warnings, []string{"prices may be missing"}) {
			t.Errorf("degraded: got problem %+v, want degraded_mode, fallback_used, source degraded and one warning", p)
		}
		a = w.sendFailing("GET", "with-upstream", path)
		if a.status != 500 || a.body != "sorry" || a.header.Get("x-own") != "1" || a.source() != "upstream" || a.reason() != "upstream_failure" || a.header.Get("x-weir-fallback-used") != "" {
			t.Errorf("upstream's response: got %+v, want status 500, body sorry, x-own 1, upstream_failure and no fallback mark", a)
		}
		return
	}
	t.Fatal("the machine was too slow for a chain of 1.7 s, five times")
}

// sourcesAt are the sources that an entry's age allows, which is between least and most.
func sourcesAt(least, most time.Duration, end string) (could []string) {
	if least <= freshFor {
		could = append(could, "cache")
	}
	if most > freshFor && least <= staleFor {
		could = append(could, "stale_cache")
	}
	if most > staleFor {
		could = append(could, end)
	}
	return could
}

// reasonCase is a way in which a request does not get upstream's answer: the cache answers, if `on` names it.
type reasonCase struct {
	name   string // of the cluster, too
	rules  string // beside fallback
	on     string // in fallback
	fail   func(*upstream.Upstream)
	reason string
	source string // where it is not the cache
	status int
}

func reasonCases() []reasonCase {
	is := func(b upstream.Behaviour) func(*upstream.Upstream) { return func(u *upstream.Upstream) { u.Set(b) } }
	const once = "rate_limit: {algorithm: token_bucket, burst_capacity: 1, refill_rate: 0.001}"
	return []reasonCase{
		{name: "status-500", fail: is(upstream.Status(500)), reason: "upstream_failure"},
		{name: "status-504", fail: is(upstream.Status(504).Body("late")), reason: "upstream_failure"},
		{name: "reset", fail: is(upstream.Reset()), reason: "upstream_failure"},
		{name: "refused", fail: (*upstream.Upstream).Refuse, reason: "upstream_failure"},
		{name: "timeout", rules: "circuit_breaker: {failure_threshold: 1000, timeout: 500ms}", fail: is(upstream.Hang()), reason: "upstream_failure"},
		{name: "unhealthy", fail: is(upstream.Status(500)), reason: "upstream_failure"},
		{name: "open", rules: "circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}", fail: is(upstream.Status(500)), reason: "circuit_open"},
		{name: "full", rules: "bulkhead: {max_concurrent: 1}", fail: is(upstream.Hang()), reason: "bulkhead_full"},
		{name: "limited", rules: once, on: "on: [rate_limited]", reason: "rate_limited"},
		{name: "limited-unnamed", rules: once, on: "default_data: {body: unused}", reason: "rate_limited", source: "error", status: 429},
		{name: "failed-unnamed", on: "on: [circuit_open, bulkhead_full, rate_limited]", fail: is(upstream.Status(500)), reason: "upstream_failure", source: "upstream", status: 500},
		{name: "shadow", rules: "mode: shadow", fail: is(upstream.Status(500)), reason: "shadow_upstream_failure", source: "upstream", status: 500},
		{name: "not-a-failure", fail: is(upstream.Status(404)), source: "upstream", status: 404},
	}
}

// reasonPolicy gives each case a cluster and an upstream.
func reasonPolicy(t *testing.T, cases []reasonCase) (policy string, upstreams map[string]*upstream.Upstream) {
	t.Helper()
	upstreams = map[string]*upstream.Upstream{}
	for _, c := range cases {
		u := upstream.New(t)
		u.Set(upstream.Body("fresh").Header("etag", `"1"`))
		u.When(upstream.Path("/health"), upstream.OK())
		upstreams[c.name] = u
		sections := "fallback: {" + c.on + "}"
		if c.rules != "" {
			sections += ", " + c.rules
		}
		policy += fmt.Sprintf("  %s: {%s}\n", c.name, sections)
	}
	return policy, upstreams
}

// forReason fills a cluster's cache, makes the cluster fail, and sends a request.
func forReason(t *testing.T, w *weir, c reasonCase, u *upstream.Upstream) {
	fill(t, w.get(c.name, "/"))
	if c.fail != nil {
		c.fail(u)
	}
	switch c.name {
	case "unhealthy":
		u.When(upstream.Path("/health"), upstream.Status(503))
		w.WaitStat("cluster.unhealthy.membership_healthy", engine.Exactly(0))
	case "open":
		// The failure that opens it is answered from the cache as well.
		a := w.get(c.name, "/")
		hit(t, "the failure", a, "cache", "fresh")
		if a.reason() != "upstream_failure" {
			t.Errorf("the failure: got %+v, want reason upstream_failure", a)
		}
	case "full":
		ctx, leave := context.WithCancel(t.Context())
		holding := make(chan answer)
		go func() { holding <- w.do(w.request(ctx, "GET", c.name, "/held")) }()
		u.Wait("a request that holds the place", func() bool { now, _ := u.InFlight(); return now == 1 })
		defer func() { leave(); <-holding }()
	}
	before := u.Count()
	a := w.get(c.name, "/")
	if a.reason() != c.reason {
		t.Errorf("reason %q, want %q", a.reason(), c.reason)
	}
	if c.source != "" {
		if a.source() != c.source || a.status != c.status || a.header.Get("x-weir-fallback-used") != "" {
			t.Errorf("%+v, want %d from %s", a, c.status, c.source)
		}
		return
	}
	hit(t, "GET", a, "cache", "fresh")
	head := w.send("HEAD", c.name, "/")
	hit(t, "HEAD", head, "cache", "")
	unchanged := w.send("GET", c.name, "/", "if-none-match", `"1"`)
	hit(t, "if-none-match", unchanged, "cache", "")
	if a.status != 200 || head.status != 200 || unchanged.status != 304 {
		t.Errorf("got status %d, HEAD %d, if-none-match %d, want 200, 200, 304", a.status, head.status, unchanged.status)
	}
	refused := c.reason != "upstream_failure" || c.name == "unhealthy" || c.name == "refused"
	if got := u.Count() - before; refused && c.name != "unhealthy" && got != 0 || !refused && got != 3 {
		t.Errorf("%d requests reached the upstream, want none of those refused and 3 of the others", got)
	}
	for what, a := range map[string]answer{
		"another path": w.get(c.name, "/other"),
		"POST":         w.send("POST", c.name, "/"),
	} {
		if a.source() != "degraded" || a.reason() != c.reason {
			t.Errorf("%s: %+v, want it degraded", what, a)
		}
	}
}

// checkHealth lets Envoy ask a cluster's host at /health, twenty times a second, and send it nothing while it is
// unhealthy.
func checkHealth(c *clusterv3.Cluster) {
	often := durationpb.New(50 * time.Millisecond)
	c.HealthChecks = []*corev3.HealthCheck{{
		Timeout: durationpb.New(5 * time.Second), Interval: often, NoTrafficInterval: often, UnhealthyInterval: often,
		UnhealthyThreshold: wrapperspb.UInt32(1), HealthyThreshold: wrapperspb.UInt32(1),
		HealthChecker: &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: &corev3.HealthCheck_HttpHealthCheck{Path: "/health"}},
	}}
	c.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: 0}}
}

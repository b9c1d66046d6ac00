package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

const namedPolicies = `
policies:
  partner: {rate_limit: {requests: 2, window_size: 1h, headers: all}}
  keyed: {rate_limit: {requests: 1, window_size: 1h, key: [{header: x-user}]}}
  strict: {circuit_breaker: {failure_threshold: 2, recovery_timeout: 1h}, rate_limit: {requests: 1000}, retry: {max_attempts: 2, base_delay: 1ms}}
  reports: {bulkhead: {max_concurrent: 1}}
  cached: {fallback: {shared: true}}
  writes: {fallback: {enable_degraded_mode: false, max_entries: 8}}
  trial: {mode: shadow, rate_limit: {requests: 1, window_size: 1h}}
  free: {mode: "off"}
clusters:
  shop: {rate_limit: {requests: LIMIT, window_size: 1h}, circuit_breaker: {failure_threshold: 50, recovery_timeout: 1h}, bulkhead: {}}
  frail: {circuit_breaker: {failure_threshold: 50, recovery_timeout: 1h}}
`

const namedRoutes = `
- {match: {prefix: /partner}, route: {cluster: shop}, metadata: {filter_metadata: {weir: {policy: partner}}}}
- {match: {prefix: /keyed}, route: {cluster: shop}, metadata: {filter_metadata: {weir: {policy: keyed}}}}
- {match: {prefix: /reports}, route: {cluster: slow}, metadata: {filter_metadata: {weir: {policy: reports}}}}
- {match: {prefix: /slow}, route: {cluster: slow}}
- {match: {prefix: /trial}, route: {cluster: shop}, metadata: {filter_metadata: {weir: {policy: trial}}}}
- {match: {prefix: /free}, route: {cluster: shop}, metadata: {filter_metadata: {weir: {policy: free}}}}
- {match: {prefix: /nobody}, route: {cluster: shop}, metadata: {filter_metadata: {weir: {policy: nobody}}}}
- {match: {prefix: /number}, route: {cluster: shop}, metadata: {filter_metadata: {weir: {policy: 7}}}}
- {match: {prefix: /strict}, route: {cluster: frail}, metadata: {filter_metadata: {weir: {policy: strict}}}}
- {match: {prefix: /frail}, route: {cluster: frail}}
- {match: {prefix: /east/free}, route: {cluster: east}, metadata: {filter_metadata: {weir: {policy: free}}}}
- {match: {prefix: /east}, route: {cluster: east}, metadata: {filter_metadata: {other: {policy: free}}}}
- {match: {prefix: /west}, route: {cluster: west}}
- match: {prefix: /kept/in, headers: [{name: ":method", string_match: {exact: POST}}]}
  name: written
  route: {cluster: kept}
  metadata: {filter_metadata: {weir: {policy: writes}}}
- {match: {prefix: /kept/in}, name: kept, route: {cluster: kept}, metadata: {filter_metadata: {weir: {policy: cached}}}}
- {match: {prefix: /}, route: {cluster: shop}}
`

// startNamed starts an Envoy with these routes, and with two clusters, east and west, whose metadata name the policy partner.
func startNamed(t *testing.T, policy string) (*watched, map[string]*upstream.Upstream) {
	t.Helper()
	up := map[string]*upstream.Upstream{}
	for _, name := range []string{"shop", "frail", "slow", "east", "west", "kept"} {
		up[name] = upstream.New(t)
		up[name].Set(upstream.Body(name))
	}
	w := &watched{upstreams: up, file: filepath.Join(engine.Dir(t), "weir.yaml")}
	o := options(t, policy, up)
	o.ECDS = w.file
	withAdmin(&o)
	bootstrap, err := render.Bootstrap(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range bootstrap.GetStaticResources().GetClusters() {
		if c.GetName() == "east" || c.GetName() == "west" {
			var metadata clusterv3.Cluster
			fromYAML(t, `metadata: {filter_metadata: {weir: {policy: partner}}}`, &metadata)
			c.Metadata = metadata.GetMetadata()
		}
	}
	addListener(t, bootstrap, "named", func(manager *hcmv3.HttpConnectionManager) {
		row := earlier{filters: clears, routes: namedRoutes}
		row.put(t, manager, noReplacer)
	})
	e := engine.Start(t, engine.Config{
		Bootstrap: bootstrap, Dir: filepath.Dir(w.file),
		Files: map[string][]byte{filepath.Base(w.file): w.content(t, policy)},
	})
	w.weir = &weir{Envoy: e, t: t, url: "http://" + e.Addr("named")}
	return w, up
}

// TestNamedPolicies: the metadata of a route, or else of its cluster, choose a policy by name instead of the cluster's own. Its
// limit and its bulkhead count its own requests, its breaker is the cluster's.
func TestNamedPolicies(t *testing.T) {
	t.Parallel()
	policy := strings.Replace(namedPolicies, "LIMIT", "3", 1)
	w, up := startNamed(t, policy)
	admin := w.console()
	asks := func(path string, want []int, headers ...string) {
		t.Helper()
		var got []int
		for range want {
			got = append(got, w.send(http.MethodGet, "any", path, headers...).status)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d requests to %s: got %v, want %v", len(want), path, got, want)
		}
	}

	// Two routes to one cluster, each with a count of its own, over both workers; a cluster's own policy beside them.
	asks("/partner", []int{200, 200, 429, 429})
	if a := w.send(http.MethodGet, "any", "/partner"); a.header.Get("ratelimit-policy") != `"shop@partner";q=2;w=3600` || a.reason() != "rate_limited" {
		t.Errorf("a refusal by the policy partner: got %+v, want its limit under the name shop@partner", a)
	}
	asks("/keyed", []int{200, 429}, "x-user", "a")
	asks("/keyed", []int{200, 429}, "x-user", "b")
	asks("/", []int{200, 200, 200, 429, 429})
	asks("/free", []int{200, 200, 200, 200, 200})
	asks("/trial", []int{200, 200})
	if a := w.send(http.MethodGet, "any", "/trial"); a.reason() != "shadow_rate_limited" {
		t.Errorf("the third request by the policy trial: got %+v, want shadow_rate_limited", a)
	}
	// The metadata of clusters: each has a count of its own, and a route's come first.
	asks("/east", []int{200, 200, 429})
	asks("/west", []int{200, 200, 429})
	asks("/east/free", []int{200, 200, 200})
	// A name that is not there: the cluster's own policy, which is used up.
	asks("/nobody", []int{429, 429})
	asks("/number", []int{429})

	w.WaitMetric(`weir_requests_total{cluster="shop@partner",decision="rate_limited"}`, engine.Exactly(3))
	w.WaitMetric(`weir_requests_total{cluster="shop",decision="rate_limited"}`, engine.Exactly(5))
	w.WaitMetric(`weir_requests_total{cluster="east@partner",decision="allowed"}`, engine.Exactly(2))
	w.WaitMetric(`weir_requests_total{cluster="shop@trial",decision="shadow_rate_limited"}`, engine.Exactly(2))
	w.WaitMetric(`weir_policy_missing_total{cluster="shop"}`, engine.Exactly(3))
	w.WaitLog(`the metadata weir.policy of a route or of the cluster is "nobody", and the policy document has no such policy`)
	eventually(t, func() error {
		missing := admin.status().at("policy_missing")
		if m, ok := missing.(map[string]any); !ok || m["cluster"] != "shop" || m["total"] != 3.0 {
			return fmt.Errorf("policy_missing of /status: got %v, want cluster shop, total 3", missing)
		}
		return nil
	})
	admin.waitStatus("shop@partner", map[string]any{
		"policy": "partner", "mode": "enforce", "requests.allowed": 2, "requests.rate_limited": 3, "rate_limit.remaining": 0, "circuit_breaker": "absent",
	})
	admin.waitStatus("shop", map[string]any{"policy": "absent", "rate_limit.remaining": 0, "circuit_breaker.state": "closed"})

	w.testNamedBulkhead(up["slow"])

	// What was counted stays over a reload, which gives the cluster's own policy room for one more.
	w.replace(strings.Replace(namedPolicies, "LIMIT", "4", 1), "config_reload")
	asks("/partner", []int{429})
	asks("/", []int{200, 429})
	admin.post("/reset/shop@partner")
	asks("/partner", []int{200, 200, 429})
	asks("/", []int{429})
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// testNamedBulkhead: a policy's bulkhead counts its own requests.
func (w *watched) testNamedBulkhead(slow *upstream.Upstream) {
	w.t.Helper()
	slow.Set(upstream.Delay(2 * time.Second))
	done := make(chan answer, 4)
	for _, path := range []string{"/slow", "/slow", "/reports"} {
		go func() { done <- w.send(http.MethodGet, "any", path) }()
	}
	slow.Wait("three requests", func() bool { now, _ := slow.InFlight(); return now == 3 })
	if a := w.send(http.MethodGet, "any", "/reports"); a.status != 503 || a.reason() != "bulkhead_full" {
		w.t.Errorf("a second report: got %+v, want 503 bulkhead_full", a)
	}
	for range 3 {
		if a := <-done; a.status != 200 {
			w.t.Errorf("a request in flight: got %+v, want status 200", a)
		}
	}
	if a := w.send(http.MethodGet, "any", "/reports"); a.status != 200 {
		w.t.Errorf("a report afterwards: got %+v, want status 200", a)
	}
	w.console().waitStatus("slow@reports", map[string]any{"bulkhead.in_flight": 0, "bulkhead.rejected_total": 1})
}

// TestNamedPoliciesShareABreaker: the breaker is the cluster's, each policy compares it with its own threshold; so are kept
// responses, which a request by any policy outdates.
func TestNamedPoliciesShareABreaker(t *testing.T) {
	t.Parallel()
	w, up := startNamed(t, strings.Replace(namedPolicies, "LIMIT", "3", 1))
	admin := w.console()
	up["frail"].Set(upstream.Status(500))
	for range 2 {
		w.send(http.MethodGet, "any", "/frail")
	}
	if n := up["frail"].Count(); n != 2 {
		t.Fatalf("2 requests by the cluster's own policy: upstream saw %d", n)
	}
	if a := w.send(http.MethodGet, "any", "/strict"); a.status != 500 {
		t.Errorf("a third request, by the policy strict: got %+v, want upstream's 500", a)
	}
	for _, path := range []string{"/strict", "/frail"} {
		if a := w.send(http.MethodGet, "any", path); a.status != 503 || a.reason() != "circuit_open" {
			t.Errorf("%s after the third failure: got %+v, want circuit_open", path, a)
		}
	}
	w.WaitMetric(`weir_breaker_transitions_total{cluster="frail",to="open"}`, engine.Exactly(1))
	w.WaitMetric(`weir_breaker_state{cluster="frail"}`, engine.Exactly(2))
	w.WaitMetric(`weir_retries_total{cluster="frail@strict"}`, engine.AtLeast(0))
	w.WaitLog("weir: frail: circuit breaker closed -> open")
	admin.waitStatus("frail@strict", map[string]any{"circuit_breaker.state": "open", "circuit_breaker.failure_threshold": 2, "circuit_breaker.opens_total": 1})
	admin.waitStatus("frail", map[string]any{"circuit_breaker.state": "open", "circuit_breaker.failure_threshold": 50})
	for name := range w.Prometheus() {
		if strings.HasPrefix(name, "weir_breaker_") && strings.Contains(name, "@") {
			t.Errorf("got metric %s, want breakers under their clusters alone", name)
		}
	}
	admin.post("/breaker/frail@strict/close")
	defer w.WaitMetric("weir_faults_total", engine.Exactly(0))
	up["frail"].Set(upstream.OK())
	for _, path := range []string{"/strict", "/frail"} {
		if a := w.send(http.MethodGet, "any", path); a.status != 200 {
			t.Errorf("%s after an operator closed the breaker: got %+v, want 200", path, a)
		}
	}
	w.WaitMetric(`weir_breaker_state{cluster="frail"}`, engine.Exactly(0))

	kept := func(want int, source string) {
		t.Helper()
		if a := w.send(http.MethodGet, "any", "/kept/in"); a.status != want || a.source() != source {
			t.Errorf("GET by the policy cached: got %+v, want status %d from %s", a, want, source)
		}
	}
	kept(200, "upstream")
	up["kept"].Set(upstream.Status(500))
	kept(200, "cache")
	up["kept"].Set(upstream.OK())
	if a := w.send(http.MethodPost, "any", "/kept/in"); a.status != 200 {
		t.Errorf("POST by the policy writes: got %+v, want status 200", a)
	}
	up["kept"].Set(upstream.Status(500))
	kept(500, "degraded")
}

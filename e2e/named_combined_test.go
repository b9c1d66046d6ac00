package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/redis"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// combinedPolicies are named policies with a section each that keeps state, beside the clusters' own policies.
const combinedPolicies = `
policies:
  mesh: {rate_limit: {scope: mesh, lease: {max_tokens: 1}, requests: MESH, window_size: 1h}}
  again: {rate_limit: {requests: 5, window_size: 1h}, retry: {driver: filter, max_attempts: 3, base_delay: 1ms, jitter: false}}
  patient: {retry: {driver: filter, max_attempts: 2, base_delay: 1s, jitter: false}, bulkhead: {max_concurrent: 1}}
  away: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, failover: {to: [far]}}
  narrow: {bulkhead: {max_concurrent: 4}}
  cached: {fallback: {shared: true}}
  cached-too: {fallback: {shared: true, max_entries: 16, cache_key_headers: [x-tenant]}}
  trial: {mode: shadow, circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}}
  strict: {circuit_breaker: {failure_threshold: 2, recovery_timeout: 1h}}
  breaks: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}}
clusters:
  shop: {rate_limit: {scope: mesh, lease: {max_tokens: 1}, requests: 3, window_size: 1h}}
  flaky: {circuit_breaker: {failure_threshold: 50}}
  near: {circuit_breaker: {failure_threshold: 50, recovery_timeout: 1h}}
  slow: {bulkhead: {max_concurrent: 3}}
  tried: {circuit_breaker: {failure_threshold: 50, recovery_timeout: 1h}}
  plain: {rate_limit: {requests: 1000}}
  quiet: {mode: shadow, circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}}
`

// combinedRoutes are those of the traffic and of the filter's attempts. `/CLUSTER/POLICY` leads to a cluster by a policy.
func combinedRoutes() string {
	var list strings.Builder
	list.WriteString(`
- match: {prefix: /near/, headers: [{name: x-weir-cluster, string_match: {exact: far}}]}
  route: {cluster: far}
`)
	for _, path := range []string{"shop/mesh", "flaky/again", "flaky/patient", "near/away", "slow/narrow", "kept/cached", "kept/cached-too", "tried/trial", "quiet/strict", "plain/breaks"} {
		cluster, policy, _ := strings.Cut(path, "/")
		fmt.Fprintf(&list, "- {match: {prefix: /%s/}, name: %s, route: {cluster: %s}, metadata: {filter_metadata: {weir: {policy: %s}}}}\n", path, policy, cluster, policy)
	}
	for _, cluster := range []string{"shop", "flaky", "near", "slow", "tried", "quiet", "plain"} {
		fmt.Fprintf(&list, "- {match: {prefix: /%[1]s/}, name: %[1]s, route: {cluster: %[1]s}}\n", cluster)
	}
	return list.String()
}

func startCombined(t *testing.T, b *redis.Bridge, policy string, up map[string]*upstream.Upstream) *watched {
	t.Helper()
	dir := engine.Dir(t)
	w := &watched{upstreams: up, file: filepath.Join(dir, "weir.yaml")}
	o := options(t, policy, up)
	o.ECDS = w.file
	withAdmin(&o)
	withRedis(b)(&o)
	bootstrap, err := render.Bootstrap(o)
	if err != nil {
		t.Fatal(err)
	}
	withRoutes(t, bootstrap, combinedRoutes())
	e := engine.Start(t, engine.Config{
		Bootstrap: bootstrap, Dir: dir, Files: map[string][]byte{filepath.Base(w.file): w.content(t, policy)},
	})
	w.weir = &weir{Envoy: e, t: t, url: e.URL()}
	return w
}

// withRoutes gives the traffic and the filter's attempts these routes, whatever the host is.
func withRoutes(t *testing.T, b *bootstrapv3.Bootstrap, list string) {
	t.Helper()
	everyManager(t, b, func(_ string, m *hcmv3.HttpConnectionManager) {
		config := &routev3.RouteConfiguration{}
		fromYAML(t, "virtual_hosts:\n- name: all\n  domains: [\"*\"]\n  routes: "+strings.ReplaceAll(list, "\n", "\n  ")+"\n", config)
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: config}
	})
}

// combined is two Envoys with one Redis, whose documents differ in the numbers of a named policy.
type combined struct {
	a, b *watched
	up   map[string]*upstream.Upstream
}

func combinedPolicy(b *redis.Bridge, requests string) string {
	return fmt.Sprintf("redis: {dialect: %s, token: %q, timeout: 1s, on_error: deny}\n", b.Dialect(), meshToken) +
		strings.Replace(combinedPolicies, "MESH", requests, 1)
}

// TestNamedPoliciesCombined: what of a named policy's state is its own, and what is its cluster's, in each section that
// keeps state: over two proxies, over two workers, in retries, failover and kept responses, in shadow, and past a reload.
func TestNamedPoliciesCombined(t *testing.T) {
	t.Parallel()
	_, bridge := redis.Start(t, redis.Kinds(t)[0])
	x := combined{up: map[string]*upstream.Upstream{}}
	for _, name := range []string{"shop", "flaky", "near", "far", "slow", "kept", "tried", "quiet", "plain"} {
		x.up[name] = upstream.New(t)
		x.up[name].Set(upstream.Body(name))
	}
	x.a = startCombined(t, bridge, combinedPolicy(bridge, "6"), x.up)
	x.b = startCombined(t, bridge, combinedPolicy(bridge, "4"), x.up)
	for _, part := range []struct {
		name string
		run  func(combined, *testing.T)
	}{
		{"scope mesh", combined.inTheMesh},
		{"retry by the filter", combined.retried},
		{"failover", combined.failsOver},
		{"bulkhead", combined.bulkhead},
		{"kept responses", combined.kept},
		{"shadow", combined.inShadow},
	} {
		t.Run(part.name, func(t *testing.T) {
			part.run(combined{x.a.in(t), x.b.in(t), x.up}, t)
		})
	}
	t.Run("removed by a reload", func(t *testing.T) {
		combined{x.a.in(t), x.b.in(t), x.up}.removed(t, combinedPolicy(bridge, "6"))
	})
	for _, w := range []*watched{x.a, x.b} {
		w.WaitMetric("weir_faults_total", engine.Exactly(0))
	}
}

// path sends a GET.
func (w *watched) path(path string) answer { return w.send(http.MethodGet, "any", path) }

// admitted counts the requests of n to each proxy, in turn, that are answered 200.
func (x combined) admitted(n int, path string) (a, b int) {
	for range n {
		if x.b.path(path).status == 200 {
			b++
		}
		if x.a.path(path).status == 200 {
			a++
		}
	}
	return a, b
}

// inTheMesh: the named policy has one count in Redis for both proxies, each of which admits at most its own number of it; the
// cluster's own policy has another one.
func (x combined) inTheMesh(t *testing.T) {
	if a, b := x.admitted(8, "/shop/mesh/"); b != 2 || a != 4 {
		t.Errorf("by the policy mesh: got %d of 6 and %d of 4, want 4 and 2 of one count", a, b)
	}
	if a, b := x.admitted(4, "/shop/"); a+b != 3 {
		t.Errorf("by the cluster's own policy: got %d and %d, want 3 in all", a, b)
	}
	if a := x.a.path("/shop/mesh/"); a.reason() != "rate_limited" {
		t.Errorf("got %+v, want rate_limited", a)
	}
	x.a.console().waitStatus("shop@mesh", map[string]any{"policy": "mesh"})
	x.a.console().post("/reset/shop@mesh")
	eventually(t, func() error { // Redis is told within a second
		if a := x.b.path("/shop/mesh/"); a.status != 200 {
			return fmt.Errorf("after a reset at the other proxy: got %+v, want status 200", a)
		}
		return nil
	})
	if a := x.a.path("/shop/"); a.status != 429 {
		t.Errorf("the cluster's own limit after a reset of its policy mesh: got %+v, want 429", a)
	}
}

// retried: the named policy's retries go through the internal listener with the same metadata, are counted by its limit, and
// the cluster's own policy, which has none, sends requests once.
func (x combined) retried(t *testing.T) {
	flaky := x.up["flaky"]
	flaky.Script(upstream.Status(503), upstream.Status(503), upstream.Body("third"))
	if a := x.a.path("/flaky/again/"); a.status != 200 || a.body != "third" || flaky.Count() != 3 {
		t.Errorf("by the policy again: got %+v after %d attempts, want the third one's response", a, flaky.Count())
	}
	flaky.Forget()
	flaky.Set(upstream.Status(503))
	if a := x.a.path("/flaky/"); a.status != 503 || flaky.Count() != 1 {
		t.Errorf("by the cluster's own policy: got %+v after %d attempts, want 503 after 1", a, flaky.Count())
	}
	flaky.Forget()
	if a := x.a.path("/flaky/again/"); a.status != 503 || flaky.Count() != 2 {
		t.Errorf("by the policy again, of whose limit 2 are left: got %+v after %d attempts, want 503 after 2", a, flaky.Count())
	}
	if a := x.a.path("/flaky/again/"); a.status != 429 {
		t.Errorf("by the policy again, of whose limit none is left: got %+v, want 429", a)
	}
	x.a.WaitMetric(`weir_retries_total{cluster="flaky@again"}`, engine.Exactly(3))
	flaky.Set(upstream.Body("flaky"))
}

// failsOver: the named policy opens the cluster's breaker, and fails over by it; the cluster's own policy is refused by it.
func (x combined) failsOver(t *testing.T) {
	x.up["near"].Set(upstream.Status(500))
	if a := x.a.path("/near/away/"); a.status != 500 {
		t.Errorf("the failure that opens the breaker: got %+v, want 500", a)
	}
	if a := x.a.path("/near/away/"); a.status != 200 || a.body != "far" || a.source() != "upstream" {
		t.Errorf("by the policy away: got %+v, want the response of far", a)
	}
	if a := x.a.path("/near/"); a.status != 503 || a.reason() != "circuit_open" {
		t.Errorf("by the cluster's own policy: got %+v, want circuit_open", a)
	}
	if n := x.up["near"].Count(); n != 1 {
		t.Errorf("near got %d requests, want 1", n)
	}
	x.a.WaitMetric(`weir_failovers_total{cluster="near@away",to="far"}`, engine.Exactly(1))
}

// bulkhead: over both workers the named policy has its own number in flight, and the cluster's own policy another one.
func (x combined) bulkhead(t *testing.T) {
	slow, release := x.up["slow"], make(chan struct{})
	slow.Set(upstream.Func(func(http.ResponseWriter, *http.Request) { <-release }))
	places := map[string]int{"/slow/narrow/": 4, "/slow/": 3}
	answers, running := make(chan answer, 7), 0
	for path, n := range places {
		for range n { // one after the other: two who race for the last place may both be refused
			running++
			go func() { answers <- x.a.path(path) }()
			slow.Wait(fmt.Sprintf("request %d", running), func() bool { now, _ := slow.InFlight(); return now == running })
		}
	}
	for path := range places {
		for range 8 { // both workers
			if a := x.a.path(path); a.status != 503 || a.reason() != "bulkhead_full" {
				t.Errorf("GET %s while all of its places are taken: got %+v, want bulkhead_full", path, a)
			}
		}
	}
	close(release)
	for range running {
		if a := <-answers; a.status != 200 {
			t.Errorf("a request in flight: got %+v, want status 200", a)
		}
	}
	x.a.console().waitStatus("slow@narrow", map[string]any{"bulkhead.in_flight": 0, "bulkhead.rejected_total": 8})
	if a := x.a.path("/slow/narrow/"); a.status != 200 {
		t.Errorf("by the policy narrow, whose places are free again: got %+v, want status 200", a)
	}
}

// kept: what one worker keeps by a named policy the other serves; a policy with another key finds nothing of it.
func (x combined) kept(t *testing.T) {
	kept := x.up["kept"]
	for _, path := range []string{"/kept/cached/", "/kept/cached-too/"} {
		if a := x.a.path(path); a.status != 200 || a.source() != "upstream" {
			t.Fatalf("GET %s: got %+v, want 200 from upstream", path, a)
		}
	}
	kept.Set(upstream.Status(500))
	for range 12 { // both workers
		if a := x.a.path("/kept/cached/"); a.status != 200 || a.source() != "cache" || a.body != "kept" {
			t.Fatalf("by the policy cached: got %+v, want what is kept", a)
		}
	}
	if a := x.a.send(http.MethodGet, "any", "/kept/cached-too/", "x-tenant", "b"); a.status == 200 {
		t.Errorf("by the policy cached-too for another tenant: got %+v, want nothing that was kept", a)
	}
	if a := x.a.path("/kept/cached-too/"); a.status != 200 || a.source() != "cache" {
		t.Errorf("by the policy cached-too: got %+v, want what is kept", a)
	}
	x.a.console().waitStatus("kept@cached", map[string]any{"policy": "cached"})
	x.a.console().post("/cache/invalidate?cluster=kept@cached")
	for _, path := range []string{"/kept/cached/", "/kept/cached-too/"} {
		if a := x.a.path(path); a.status == 200 {
			t.Errorf("GET %s after the cluster's kept responses were dropped: got %+v, want none", path, a)
		}
	}
}

// inShadow: a policy in shadow never acts, so its breaker refuses nothing by any other policy of the cluster.
func (x combined) inShadow(t *testing.T) {
	for _, row := range []struct{ cluster, shadow, name, acting string }{
		{"tried", "/tried/trial/", "tried@trial", "/tried/"},
		{"quiet", "/quiet/", "quiet", "/quiet/strict/"},
	} {
		up := x.up[row.cluster]
		up.Set(upstream.Status(500))
		x.a.path(row.shadow)
		up.Set(upstream.OK())
		if a := x.a.path(row.shadow); a.status != 200 || a.reason() != "shadow_circuit_open" {
			t.Errorf("GET %s after a failure: got %+v, want 200 with shadow_circuit_open", row.shadow, a)
		}
		if a := x.a.path(row.acting); a.status != 200 {
			t.Errorf("GET %s, whose policy acts: got %+v, want 200, since a breaker in shadow refuses nothing", row.acting, a)
		}
		x.a.console().waitStatus(row.name, map[string]any{"circuit_breaker.state": "open", "mode": "shadow"})
		x.a.WaitMetric(fmt.Sprintf(`weir_breaker_state{cluster=%q}`, row.name), engine.Exactly(2))
	}
	x.up["quiet"].Set(upstream.Status(500))
	for range 2 {
		x.a.path("/quiet/strict/")
	}
	if a := x.a.path("/quiet/strict/"); a.status != 503 || a.reason() != "circuit_open" {
		t.Errorf("by the policy strict after two failures: got %+v, want circuit_open", a)
	}
	x.a.console().waitStatus("quiet@strict", map[string]any{"circuit_breaker.state": "open", "circuit_breaker.failure_threshold": 2})
}

// removed: a reload removes a named policy, while one of its requests waits for its next attempt. That request keeps its policy
// to the end; those that come later get the cluster's own, until the policy is there again, with its place in the bulkhead.
func (x combined) removed(t *testing.T, policy string) {
	flaky := x.up["flaky"]
	flaky.Forget()
	flaky.Script(upstream.Status(503), upstream.Body("second"))
	first := make(chan answer, 1)
	go func() { first <- x.a.path("/flaky/patient/") }()
	flaky.WaitCount(1)
	without := strings.Replace(policy, "  patient:", "  renamed:", 1)
	x.a.replace(without, "config_reload")
	if a := x.a.path("/flaky/patient/"); a.status != 200 || a.body != "second" { // its second response, but no attempt of the first
		t.Errorf("by a policy that is not there: got %+v, want what upstream answered", a)
	}
	x.a.WaitMetric(`weir_policy_missing_total{cluster="flaky"}`, engine.Exactly(1))
	if a := <-first; a.status != 200 || a.body != "second" {
		t.Errorf("a request whose policy was removed before its second attempt: got %+v, want that attempt's response", a)
	}
	if n := flaky.Count(); n != 3 {
		t.Errorf("upstream got %d requests, want 3: two attempts of the first one, and another request", n)
	}
	x.a.replace(policy, "config_reload")
	if a := x.a.path("/flaky/patient/"); a.status != 200 {
		t.Errorf("by the policy that is there again: got %+v, want its only place in the bulkhead free", a)
	}
	x.a.console().waitStatus("flaky@patient", map[string]any{"bulkhead.in_flight": 0, "bulkhead.rejected_total": 0, "retry.attempts_total": 1})

	// A breaker that no policy has any more is shown as closed, or an alert would never end.
	x.up["plain"].Set(upstream.Status(500))
	x.a.path("/plain/breaks/")
	x.a.console().waitStatus("plain@breaks", map[string]any{"circuit_breaker.state": "open"})
	x.a.WaitMetric(`weir_breaker_state{cluster="plain"}`, engine.Exactly(2))
	x.a.replace(strings.Replace(policy, "  breaks:", "  renamed:", 1), "config_reload")
	x.a.WaitMetric(`weir_breaker_state{cluster="plain"}`, engine.Exactly(0))
	// So is the own one of a policy that acts from now on, by the cluster's breaker.
	x.a.WaitMetric(`weir_breaker_state{cluster="tried@trial"}`, engine.Exactly(2))
	x.a.replace(strings.Replace(policy, "trial: {mode: shadow, ", "trial: {", 1), "config_reload")
	x.a.WaitMetric(`weir_breaker_state{cluster="tried@trial"}`, engine.Exactly(0))
}

const tieredPolicy = `
policies:
  basic: {circuit_breaker: {failure_threshold: 50}, fallback: {enable_cache_fallback: false, default_data: {body: of basic}}}
  gold: {circuit_breaker: {failure_threshold: 4, recovery_timeout: 1h}}
clusters: {shop: {}}
`

const tieredRoutes = `
- {match: {prefix: /, headers: [{name: x-tier, string_match: {exact: gold}}]}, route: {cluster: shop}, metadata: {filter_metadata: {weir: {policy: gold}}}}
- {match: {prefix: /}, route: {cluster: shop}, metadata: {filter_metadata: {weir: {policy: basic}}}}
`

// TestNamedPolicyOfAClearedRoute: a filter before Weir clears the route, and the request goes by another one to the same cluster. With
// the filter that resolves the route the policy of that one decides; without it that is noticed, and the wrong policy answers nothing.
func TestNamedPolicyOfAClearedRoute(t *testing.T) {
	t.Parallel()
	up := upstream.New(t)
	up.Set(upstream.Status(500).Body("failed"))
	w := startWith(t, options(t, tieredPolicy, map[string]*upstream.Upstream{"shop": up}), func(b *bootstrapv3.Bootstrap) {
		for _, name := range []string{"resolved", "bare"} {
			addListener(t, b, name, func(m *hcmv3.HttpConnectionManager) {
				if name == "bare" {
					m.HttpFilters = slices.DeleteFunc(m.GetHttpFilters(), func(f *hcmv3.HttpFilter) bool { return f.GetName() == "resolve_route" })
				}
				row := earlier{filters: toTier, routes: tieredRoutes}
				row.put(t, m, noReplacer)
			})
		}
	})
	ask := func(listener string, headers ...string) answer {
		return (&weir{Envoy: w.Envoy, t: t, url: "http://" + w.Addr(listener)}).send(http.MethodGet, "any", "/", headers...)
	}
	for _, listener := range []string{"resolved", "bare"} {
		if a := ask(listener); a.status != 200 || a.body != "of basic" {
			t.Errorf("%s: by the policy basic: got %+v, want its default data", listener, a)
		}
	}
	if a := ask("resolved", "x-plan", "gold"); a.status != 500 || a.body != "failed" {
		t.Errorf("by the policy gold, whose route is resolved: got %+v, want upstream's answer", a)
	}
	if a := ask("bare", "x-plan", "gold"); a.status != 500 || a.body != "failed" {
		t.Errorf("by the policy basic, on the route of the policy gold: got %+v, want upstream's answer", a)
	}
	w.WaitMetric(`weir_misrouted_total{cluster="shop@basic",to="shop@gold"}`, engine.Exactly(1))
	if a := ask("resolved", "x-plan", "gold"); a.status != 503 || a.reason() != "circuit_open" {
		t.Errorf("by the policy gold after four failures: got %+v, want circuit_open", a)
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestNamedPoliciesOfTwoListeners: two listeners' documents have different policies by one name: each admits at most its own number
// of one count. A name that one of them has not is the cluster's own policy there.
func TestNamedPoliciesOfTwoListeners(t *testing.T) {
	t.Parallel()
	const first = `
policies:
  partner: {rate_limit: {requests: 2, window_size: 1h}, bulkhead: {}}
  other: {rate_limit: {requests: 1, window_size: 1h}}
clusters: {shop: {rate_limit: {requests: 3, window_size: 1h}}}
`
	const second = `
policies:
  partner: {rate_limit: {requests: 5, window_size: 1h}, circuit_breaker: {}}
clusters: {shop: {rate_limit: {requests: 3, window_size: 1h}}}
`
	const routes = `
- {match: {prefix: /partner}, route: {cluster: shop}, metadata: {filter_metadata: {weir: {policy: partner}}}}
- {match: {prefix: /other}, route: {cluster: shop}, metadata: {filter_metadata: {weir: {policy: other}}}}
- {match: {prefix: /}, route: {cluster: shop}}
`
	up := map[string]*upstream.Upstream{"shop": upstream.New(t)}
	w := startWith(t, options(t, first, up), withListener(t, "second", options(t, second, up)), func(b *bootstrapv3.Bootstrap) {
		withRoutes(t, b, routes)
	})
	for _, step := range []struct {
		listener, path string
		want           []int
	}{
		{"second", "/partner", []int{200, 200, 200}},
		{"traffic", "/partner", []int{429, 429}},
		{"second", "/partner", []int{200, 200, 429}},
		{"traffic", "/other", []int{200, 429}},
		{"second", "/other", []int{200, 200, 200, 429}}, // the cluster's own policy
		{"traffic", "/", []int{429}},
	} {
		var got []int
		for range step.want {
			got = append(got, (&weir{Envoy: w.Envoy, t: t, url: "http://" + w.Addr(step.listener)}).send(http.MethodGet, "any", step.path).status)
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("%s at %s: got %v, want %v", step.path, step.listener, got, step.want)
		}
	}
	w.WaitMetric(`weir_policy_missing_total{cluster="shop"}`, engine.Exactly(4))
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

const noticedPolicy = `
clusters:
  gold: {circuit_breaker: {failure_threshold: 3, recovery_timeout: 1h}}
  kept: {circuit_breaker: {failure_threshold: 100}, fallback: {}}
  all: {circuit_breaker: {failure_threshold: 3}}
  from: {circuit_breaker: {failure_threshold: 3}}
  onto: {circuit_breaker: {failure_threshold: 3, recovery_timeout: 1h}}
`

const noticedRoutes = `
- match: {path: /redirected}
  route: {cluster: from, internal_redirect_policy: {max_internal_redirects: 1}}
- {match: {path: /onto}, route: {cluster: onto}}
- {match: {path: /all}, route: {cluster: all, request_mirror_policies: [{cluster: gold}]}}
- {match: {prefix: /, headers: [{name: x-tier, string_match: {exact: gold}}]}, route: {cluster: gold}}
- {match: {prefix: /kept}, route: {cluster: kept}}
- {match: {prefix: /}, route: {cluster: plain}}
`

// TestRoutesWithoutResolver has no filter before Weir that resolves the route: what is noticed then, and what is no
// reason to.
func TestRoutesWithoutResolver(t *testing.T) {
	t.Parallel()
	up := map[string]*upstream.Upstream{}
	for _, name := range []string{"gold", "kept", "plain", "member", "from", "onto"} {
		up[name] = upstream.New(t)
		up[name].Set(upstream.Body(name).Header("cache-control", "public, max-age=60"))
	}
	// all is the name of an upstream only for render: its cluster is an aggregate one.
	o := options(t, noticedPolicy, map[string]*upstream.Upstream{
		"gold": up["gold"], "kept": up["kept"], "plain": up["plain"], "member": up["member"], "all": up["member"], "from": up["from"], "onto": up["onto"],
	})
	w := startWith(t, o, func(b *bootstrapv3.Bootstrap) {
		for i, c := range b.GetStaticResources().GetClusters() {
			if c.GetName() == "all" {
				aggregate := &clusterv3.Cluster{}
				fromYAML(t, `{name: all, lb_policy: CLUSTER_PROVIDED, connect_timeout: 5s, cluster_type: {name: envoy.clusters.aggregate, `+
					`typed_config: {"@type": type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig, clusters: [member]}}}`, aggregate)
				b.StaticResources.Clusters[i] = aggregate
			}
		}
		addListener(t, b, "bare", func(manager *hcmv3.HttpConnectionManager) {
			manager.HttpFilters = slices.DeleteFunc(manager.GetHttpFilters(), func(f *hcmv3.HttpFilter) bool { return f.GetName() == "resolve_route" })
			row := earlier{filters: toTier, routes: noticedRoutes}
			row.put(t, manager, noReplacer)
		})
	})
	bare := &weir{Envoy: w.Envoy, t: t, url: "http://" + w.Addr("bare")}
	ask := func(path string, headers ...string) answer { return bare.send(http.MethodGet, "any", path, headers...) }

	// Neither the member of an aggregate cluster nor a mirror is another cluster, nor what an internal redirect leads to.
	up["from"].Set(upstream.Status(302).Header("location", "http://any/onto"))
	up["onto"].Set(upstream.Status(500))
	up["gold"].Set(upstream.Status(500))
	for range 6 {
		if a := ask("/all"); a.status != 200 || a.body != "member" {
			t.Fatalf("an aggregate cluster: got %+v, want the answer of its member", a)
		}
	}
	for range 3 {
		if a := ask("/redirected"); a.status != 500 {
			t.Fatalf("an internal redirect: got %+v, want status 500 of the other cluster", a)
		}
	}
	w.WaitMetric(`weir_breaker_transitions_total{cluster="onto",to="open"}`, engine.Exactly(1))
	w.WaitMetric(`weir_requests_total{cluster="all",decision="allowed"}`, engine.Exactly(6))
	for name, n := range w.Prometheus() {
		if len(name) > 20 && name[:20] == "weir_misrouted_total" {
			t.Errorf("got %s %v, want no such metric", name, n)
		}
	}

	// What gold answered is not kept as an answer of the cluster that decided.
	up["gold"].Set(upstream.Body("gold").Header("cache-control", "public, max-age=60"))
	for i := range 20 {
		ask("/kept/first")
		if a := ask(fmt.Sprint("/kept/", i), plans...); a.body != "gold" {
			t.Fatalf("request %d to gold: got %+v, want its answer", i, a)
		}
	}
	up["kept"].Set(upstream.Status(500))
	for i := range 20 {
		if a := ask(fmt.Sprint("/kept/", i)); a.status != 500 && a.body == "gold" {
			t.Errorf("request %d to a cluster that fails: got %+v, want no answer that gold gave", i, a)
		}
	}

	// A request without a policy, that goes to a cluster with one.
	up["gold"].Set(upstream.Status(500))
	for range 12 {
		if a := ask("/", plans...); a.status != 500 {
			t.Fatalf("from plain to gold: got %+v, want status 500", a)
		}
	}
	w.WaitMetric(`weir_misrouted_total{cluster="plain",to="gold"}`, engine.AtLeast(3))
	w.WaitMetric(`weir_breaker_transitions_total{cluster="gold",to="open"}`, engine.Exactly(1))
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

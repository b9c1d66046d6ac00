package e2e

import (
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestDefaultDataByPath: the path is the one that the client asked for, whatever the route makes of it until upstream fails,
// and is still known when a request is refused, has been retried, or has failed over.
func TestDefaultDataByPath(t *testing.T) {
	t.Parallel()
	failing := upstream.New(t)
	failing.Set(upstream.Status(500).Body("sorry"))
	const byPath = `
      enable_cache_fallback: false
      enable_degraded_mode: false
      default_data: {body: "any"}
      default_data_by_path:
        /prices/eu: {status: 203, headers: {x-region: eu}, body: {prices: [1.5], region: eu}}
        /prices/*: {body: "prices"}
        "*/health": {status: 204}`
	w := startWith(t, options(t, `
clusters:
  failing:
    fallback:`+byPath+`
  open:
    circuit_breaker: {failure_threshold: 1}
    fallback:`+byPath+`
  retried:
    `+retryRules("filter", "max_attempts: 2")+`
    fallback:`+byPath+`
  home:
    circuit_breaker: {failure_threshold: 1}
    failover: {to: [failing]}
    fallback: {enable_cache_fallback: false, default_data: {body: "of the cluster that refused"}}
  alone:
    circuit_breaker: {failure_threshold: 1}
    fallback: {enable_cache_fallback: false, default_data_by_path: {/prices: {body: "only"}}}
`, map[string]*upstream.Upstream{"failing": failing, "open": failing, "retried": failing, "home": failing, "alone": failing}),
		func(b *bootstrapv3.Bootstrap) {
			everyManager(t, b, func(_ string, m *hcmv3.HttpConnectionManager) {
				for _, host := range m.GetRouteConfig().GetVirtualHosts() {
					for _, r := range host.GetRoutes() {
						r.GetRoute().PrefixRewrite = "/v2/"
					}
				}
			})
		})
	w.get("open", "/")
	w.get("home", "/")
	eu := answer{status: 203, body: `{"prices":[1.5],"region":"eu"}`}
	other, prices, none := answer{status: 200, body: "any"}, answer{status: 200, body: "prices"}, answer{status: 204}
	for _, tc := range []struct {
		method, cluster, path string
		reason                string
		want                  answer
	}{
		{"GET", "failing", "/prices/eu", "upstream_failure", eu},
		{"GET", "failing", "/prices/eu?currency=usd#x", "upstream_failure", eu},
		{"GET", "failing", "/prices/us/east?x=/health", "upstream_failure", prices},
		{"GET", "failing", "/prices/health", "upstream_failure", prices}, // the longer of two patterns
		{"GET", "failing", "/v1/health", "upstream_failure", none},
		{"GET", "failing", "/prices", "upstream_failure", other},
		{"HEAD", "failing", "/prices/eu", "upstream_failure", answer{status: 203}},
		{"POST", "failing", "/prices/eu", "upstream_failure", answer{status: 500, body: "sorry"}},
		{"GET", "open", "/prices/eu", "circuit_open", eu},
		{"GET", "open", "/health", "circuit_open", none},
		{"GET", "retried", "/prices/eu", "upstream_failure", eu},
		{"GET", "retried", "/prices/us", "upstream_failure", prices},
		{"GET", "home", "/prices/eu", "upstream_failure", eu}, // by the cluster that it failed over to
		{"GET", "alone", "/prices", "upstream_failure", answer{status: 200, body: "only"}},
		{"GET", "alone", "/prices", "circuit_open", answer{status: 200, body: "only"}},
	} {
		a := w.do(w.request(t.Context(), tc.method, tc.cluster, tc.path))
		if a.err != nil || a.status != tc.want.status || a.reason() != tc.reason || a.body != tc.want.body {
			t.Errorf("%s %s of %s: got %+v, want %d %s %q", tc.method, tc.path, tc.cluster, a, tc.want.status, tc.reason, tc.want.body)
		}
	}
	if a := w.get("alone", "/other"); a.source() != "degraded" || a.reason() != "circuit_open" {
		t.Errorf("a path without default data: got %+v, want degraded mode", a)
	}
	for _, r := range failing.Requests() {
		if !strings.HasPrefix(r.Path, "/v2/") {
			t.Fatalf("upstream saw %s: the route rewrites no path, so this test shows nothing", r.Path)
		}
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

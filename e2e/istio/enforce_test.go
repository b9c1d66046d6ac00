package istio

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/redis"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/istio"
	"github.com/weir-mesh/weir/filter/adminapi"
)

const shopHost = "pricing.shop.svc.cluster.local"

// TestSidecarEnforces: a limit, the metrics' labels, the admin listener in the same shared data, the filter's place, and
// that a client's x-weir headers choose no route.
func TestSidecarEnforces(t *testing.T) {
	p := newPricing(t, shopHost, 0)
	admin := engine.FreePort(t)
	objects, bootstrap := rendered(t, "clusters: {pricing: {rate_limit: {requests: 5, window_size: 600s}}}", func(o *istio.Options) {
		o.Namespace, o.Selector = "shop", map[string]string{"app": "cart"}
		o.Upstreams = upstreamsOf(t, "pricing="+p.address())
		o.Admin = fmt.Sprint(admin)
	})
	c := newControlPlane(t, p.service(), outboundAt("cart", "127.0.0.1", p.port), outboundAt("other", "127.0.0.2", p.port), objects)
	cart, other := c.start("cart", "127.0.0.1", p.port, bootstrap), c.start("other", "127.0.0.2", p.port, bootstrap)
	cart.waitForFilter(p.port)

	if got := cart.count(8, p.address()); got[200] != 5 || got[429] != 3 {
		t.Errorf("got %v, want 5 of 200 and 3 of 429", got)
	}
	if a := cart.get(p.address()); a.header.Get("x-weir-reason") != "rate_limited" {
		t.Errorf("got %v, want x-weir-reason: rate_limited", a.header)
	}
	if got := other.count(8, p.address()); got[200] != 8 {
		t.Errorf("a sidecar without the label: got %v, want 8 of 200", got)
	}
	cart.WaitMetric(`weir_requests_total{cluster="`+p.cluster()+`",decision="rate_limited"}`, engine.Exactly(4))

	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/status", admin))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var status adminapi.Status
	if err := json.NewDecoder(response.Body).Decode(&status); err != nil || len(status.Clusters) != 1 || status.Clusters[p.cluster()].RateLimit == nil {
		t.Errorf("the admin listener's status: got %+v, %v, want cluster %s with a limit", status, err, p.cluster())
	}

	filters := cart.httpFilters(p.port)
	at := slices.IndexFunc(filters, isWeir)
	if at < 1 || filters[at-1] != "resolve_route" {
		t.Errorf("got filters %v, want resolve_route right before Weir", filters)
	}
}

// TestNamedPolicies: the metadata that the EnvoyFilter merges into a cluster and into a route choose policies by name; the limits of
// the clusters themselves are 100.
func TestNamedPolicies(t *testing.T) {
	p := newPricing(t, shopHost, 0)
	search := newPricing(t, "search.shop.svc.cluster.local", p.port)
	objects, bootstrap := rendered(t, `clusters:
  pricing: {rate_limit: {requests: 100, window_size: 600s}}
  search: {rate_limit: {requests: 100, window_size: 600s}}
policies:
  few: {rate_limit: {requests: 5, window_size: 600s}}
  fewer: {rate_limit: {requests: 2, window_size: 600s}}
`, func(o *istio.Options) {
		o.Namespace = "shop"
		o.Upstreams = upstreamsOf(t, "pricing="+p.address(), "search="+search.address())
		cluster, err := istio.ParseChosenCluster("few=" + p.address())
		if err != nil {
			t.Fatal(err)
		}
		route, err := istio.ParseChosenRoute(fmt.Sprintf("fewer=%s/port-%d", search.address(), search.port))
		if err != nil {
			t.Fatal(err)
		}
		o.Chosen = []istio.Chosen{cluster, route}
	})
	c := newControlPlane(t, p.service(), search.service(), outboundAt("cart", "127.0.0.1", p.port), objects)
	cart := c.start("cart", "127.0.0.1", p.port, bootstrap)
	cart.waitForFilter(p.port)
	for _, tc := range []struct {
		address string
		allowed int
	}{{p.address(), 5}, {search.address(), 2}} {
		if got := cart.count(8, tc.address); got[200] != tc.allowed || got[429] != 8-tc.allowed {
			t.Errorf("%s: got %v, want %d of 200 and the rest 429", tc.address, got, tc.allowed)
		}
	}
}

// TestRoutesAreThePolicys: Istio's own retries are off, the policy's are on, with its back-off; failover goes by the routes
// of the VirtualService, and not by a client's header.
func TestRoutesAreThePolicys(t *testing.T) {
	p := newPricing(t, shopHost, 0)
	eu := newPricing(t, "pricing-eu.shop.svc.cluster.local", p.port)
	limited := newPricing(t, "limited.shop.svc.cluster.local", p.port)
	free := newPricing(t, "free.shop.svc.cluster.local", p.port)
	objects, bootstrap := rendered(t, `clusters:
  pricing:
    circuit_breaker: {failure_threshold: 2, recovery_timeout: 60s}
    retry: {max_attempts: 2, base_delay: 10ms, max_delay: 20ms, retry_on: [5xx]}
    failover: {to: [eu]}
  limited: {rate_limit: {}}
`, func(o *istio.Options) {
		o.Upstreams = upstreamsOf(t, "pricing="+p.address(), "eu="+eu.address(), "limited="+limited.address())
	})
	c := newControlPlane(t, p.service(), eu.service(), limited.service(), free.service(), outboundAt("cart", "127.0.0.1", p.port), objects)
	s := c.start("cart", "127.0.0.1", p.port, bootstrap)
	s.waitForFilter(p.port)

	p.Script(upstream.Status(503), upstream.OK())
	if a := s.get(p.address()); a.status != 200 || p.Count() != 2 {
		t.Errorf("got %d after %d attempts, want 200 after 2", a.status, p.Count())
	}
	if a := s.get(p.address(), "x-weir-cluster", eu.cluster()); a.status != 200 || eu.Count() != 0 {
		t.Errorf("a client's x-weir-cluster: got %d, and %d requests to the other cluster, want 200 and none", a.status, eu.Count())
	}
	p.Set(upstream.Status(503))
	eventually(t, func() error { // until the breaker opens
		if a := s.get(p.address()); eu.Count() == 0 {
			return fmt.Errorf("got %d with headers %v, and no request to the cluster of the failover", a.status, a.header)
		}
		return nil
	})
	for _, r := range eu.Requests() {
		if r.Header.Get("x-weir-cluster") != "" {
			t.Error("upstream got x-weir-cluster")
		}
	}

	limited.Refuse()
	free.Refuse()
	s.get(limited.address())
	s.get(free.address())
	for host, want := range map[pricing]float64{limited: 0, free: 2} {
		name := "cluster." + host.cluster() + ";.upstream_rq_retry" // Istio's alt_stat_name ends with a ;
		if got, ok := s.Stats()[name]; !ok || got != want {
			t.Errorf("retries of Istio's own to %s: got %g (there: %v), want %g", host.host, got, ok, want)
		}
	}
}

// TestSidecarsShareALimit: two sidecars, one Redis.
func TestSidecarsShareALimit(t *testing.T) {
	_, bridge := redis.Start(t, redis.Upstash)
	p := newPricing(t, shopHost, 0)
	const bridgeHost = "weir-bridge.tools.svc.cluster.local"
	objects, bootstrap := rendered(t, "clusters: {pricing: {rate_limit: {requests: 20, window_size: 600s, scope: mesh}}}\n"+
		"redis: {dialect: upstash, token: "+bridge.Token+", on_error: deny}", func(o *istio.Options) {
		o.Upstreams = upstreamsOf(t, "pricing="+p.address())
		o.Redis = fmt.Sprintf("%s:%d", bridgeHost, p.port)
	})
	c := newControlPlane(t, p.service(), service(bridgeHost, p.port, uint32(bridge.Port)),
		outboundAt("cart", "127.0.0.1", p.port), outboundAt("search", "127.0.0.2", p.port), objects)
	sidecars := []*sidecar{c.start("cart", "127.0.0.1", p.port, bootstrap), c.start("search", "127.0.0.2", p.port, bootstrap)}
	for _, s := range sidecars {
		s.waitForFilter(p.port)
	}
	admitted := make([]int, len(sidecars))
	for range 25 {
		for i, s := range sidecars {
			switch a := s.get(p.address()); a.status {
			case 200:
				admitted[i]++
			case 429:
			default:
				t.Fatalf("got %d, %v, want 200 or 429", a.status, a.err)
			}
		}
	}
	if sum := admitted[0] + admitted[1]; sum != 20 || admitted[0] == 0 || admitted[1] == 0 {
		t.Errorf("got %v admitted of 25 each, want 20 of both", admitted)
	}
}

// TestChangedPluginUnderLoad: a changed WasmPlugin takes hold while requests run, and none is lost; one with a mistake is
// refused, and the one before stays.
func TestChangedPluginUnderLoad(t *testing.T) {
	p := newPricing(t, shopHost, 0)
	plugin := func(policy string) (plugin, bootstrap string) {
		return rendered(t, policy, func(o *istio.Options) { o.Upstreams = upstreamsOf(t, "pricing="+p.address()) })
	}
	objects, bootstrap := plugin("clusters: {pricing: {rate_limit: {requests: 1000000, window_size: 600s}}}")
	c := newControlPlane(t, p.service(), outboundAt("cart", "127.0.0.1", p.port), objects)
	s := c.start("cart", "127.0.0.1", p.port, bootstrap)
	s.waitForFilter(p.port)

	stop := make(chan struct{})
	done := make(chan load.Answers)
	go func() {
		done <- load.Run(t, load.Plan{URL: s.url, Host: p.address(), Connections: 8, Rate: 400, Stop: stop})
	}()
	p.WaitCount(100)
	changed, _ := plugin("clusters: {pricing: {rate_limit: {requests: 5, window_size: 600s}}}")
	c.apply(wasmPluginOf(t, changed))
	eventually(t, func() error {
		if a := s.get(p.address()); a.status != 429 {
			return fmt.Errorf("got %d, want 429 by the changed plugin", a.status)
		}
		return nil
	})
	c.apply(strings.Replace(wasmPluginOf(t, changed), "requests: 5", "requests: 0", 1))
	s.WaitLog("rate_limit.requests: must be at least 1, got 0")
	if a := s.get(p.address()); a.status != 429 {
		t.Errorf("after a plugin with a mistake: got %d, want 429 by the one before", a.status)
	}
	back, _ := plugin("clusters: {pricing: {rate_limit: {requests: 1000000, window_size: 600s}}}")
	c.apply(wasmPluginOf(t, back))
	eventually(t, func() error {
		if a := s.get(p.address()); a.status != 200 {
			return fmt.Errorf("got %d, want 200 by the plugin of the beginning", a.status)
		}
		return nil
	})
	close(stop)
	answers := <-done
	statuses := answers.Statuses()
	if failed := answers.Failed(); len(failed) > 0 || len(statuses) != 2 || statuses[200] < 100 || statuses[429] == 0 {
		t.Errorf("got %v and %d failed, want 200 and 429 alone: %v", statuses, len(failed), first(failed))
	}
	t.Logf("%v, versions of the plugin: %d", statuses, strings.Count(s.Logs(), "is in force"))
}

func first(answers load.Answers) string {
	if len(answers) == 0 {
		return ""
	}
	return answers[0].Err.Error()
}

// wasmPluginOf is the WasmPlugin among objects.
func wasmPluginOf(t *testing.T, objects string) string {
	t.Helper()
	for object := range strings.SplitSeq(objects, "\n---\n") {
		if strings.Contains(object, "kind: WasmPlugin") {
			return object
		}
	}
	t.Fatal("got no WasmPlugin")
	return ""
}

package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/redis"
	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/gateway"
	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/filter/adminapi"
)

// free is a route without a policy.
const free = "free"

func freeRoute(u *upstream.Upstream) string {
	return backend(free, u.Port()) + "---" + route(free, to(free))
}

// image is the module in a registry, as `make image` writes it and its push sends it.
func image(t *testing.T) string {
	t.Helper()
	file, err := repo.Built("images/plugin/index.json", "image")
	if err != nil {
		t.Fatal(err)
	}
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	reference := strings.TrimPrefix(server.URL, "http://") + "/weir:1"
	push := exec.CommandContext(t.Context(), "go", "-C", filepath.Join(root, "envoy", "image"), "run", ".", "push", filepath.Dir(file), reference)
	if out, err := push.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", push.Args, err, out)
	}
	return "oci://" + reference
}

// served is a module on a web server, and its checksum.
func served(t *testing.T, name string) (url, sum string) {
	t.Helper()
	path, err := repo.Module(name)
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(module) }))
	t.Cleanup(server.Close)
	digest := sha256.Sum256(module)
	return server.URL + "/" + name + ".wasm", hex.EncodeToString(digest[:])
}

// TestGatewayEnforces: a limit by the module of an image, one count of both listeners, the metrics' labels, the filter's place, and
// what is patched into its configuration.
func TestGatewayEnforces(t *testing.T) {
	u := upstream.New(t)
	objects := rendered(t, "clusters: {pricing: {rate_limit: {requests: 5, window_size: 600s}}}", image(t), func(o *gateway.Options) {
		o.Upstreams = upstreamsOf(t, "pricing=shop/pricing")
	})
	c := newControlPlane(t, objects, backend("pricing", u.Port()), route("pricing", to("pricing")), freeRoute(u))
	c.waitForRoutes(free)

	if got := c.count(4, "http", "pricing"); got[200] != 4 {
		t.Errorf("4 requests: got %v, want 200 alone", got)
	}
	if got := c.count(4, "second", "pricing"); got[200] != 1 || got[429] != 3 {
		t.Errorf("4 more by the other listener: got %v, want one 200 and three 429", got)
	}
	if a := c.get("http", "pricing"); a.status != 429 || a.header.Get("x-weir-reason") != "rate_limited" {
		t.Errorf("got %d %v, want 429 with x-weir-reason: rate_limited", a.status, a.header)
	}
	const metric = `weir_requests_total{cluster="httproute/shop/pricing/rule/0",decision="rate_limited"} 4`
	c.eventually(func() error {
		if text := c.admin("/stats/prometheus"); !strings.Contains(text, metric+"\n") {
			return fmt.Errorf("got no %s", metric)
		}
		return nil
	})
	for _, listener := range []string{"shop/eg/http", "shop/eg/second"} {
		filters := c.httpFilters()[listener]
		at := slices.IndexFunc(filters, func(f httpFilter) bool { return f.TypedConfig.Config.Name == "weir" })
		if at < 1 || filters[at-1].Name != "resolve_route" {
			t.Errorf("%s: got filters %+v, want resolve_route right before Weir", listener, filters)
			continue
		}
		config := filters[at].TypedConfig.Config
		if config.VM.ID != "weir/shop/weir" || config.FailurePolicy != "FAIL_RELOAD" {
			t.Errorf("%s: got %+v, want the vm_id weir/shop/weir, and FAIL_RELOAD", listener, config)
		}
	}
}

// TestAdminSeesTheTraffic: the patched admin listener shows the limit of the traffic's filter: both have one state. The filter is only
// for the route that is named, and comes back after a crash, with its state.
func TestAdminSeesTheTraffic(t *testing.T) {
	u := upstream.New(t)
	module, sum := served(t, "crash")
	port := engine.FreePort(t)
	objects := rendered(t, "clusters: {pricing: {rate_limit: {requests: 5, window_size: 600s}}}", module, func(o *gateway.Options) {
		o.SHA256, o.Admin, o.Routes = sum, fmt.Sprint(port), []gateway.Target{{Kind: "HTTPRoute", Name: "pricing"}}
		o.Upstreams = upstreamsOf(t, "pricing=shop/pricing")
	})
	c := newControlPlane(t, objects, backend("pricing", u.Port()), route("pricing", to("pricing")), freeRoute(u))
	c.waitForRoutes(free)
	if got := c.count(8, "http", "pricing"); got[200] != 5 || got[429] != 3 {
		t.Errorf("got %v, want five 200 and three 429", got)
	}
	const cluster = "httproute/shop/pricing/rule/0"
	c.eventually(func() error {
		a := fetch(t, fmt.Sprintf("http://127.0.0.1:%d/status", port), "")
		var status adminapi.Status
		if err := json.Unmarshal([]byte(a.body), &status); err != nil {
			return fmt.Errorf("the admin listener: got %d %q, %v: %w", a.status, a.body, a.err, err)
		}
		shown := status.Clusters[cluster]
		if shown.RateLimit == nil || shown.Requests.RateLimited != 3 {
			return fmt.Errorf("the admin listener: got %s, want cluster %s with 3 refused", a.body, cluster)
		}
		return nil
	})
	if a := c.get("http", free, "weir-test-crash", "request"); a.status != 200 {
		t.Errorf("a route that the filter is not for: got %d, want 200", a.status)
	}
	for range 4 { // both workers
		if a := c.get("http", "pricing", "weir-test-crash", "request"); a.status != 503 {
			t.Fatalf("a request that crashes the filter: got %d, %v, want 503", a.status, a.err)
		}
		c.eventually(func() error {
			if a := c.get("http", "pricing"); a.status != 429 {
				return fmt.Errorf("after a crash: got %d, %v, want 429 again", a.status, a.err)
			}
			return nil
		})
	}
}

// TestRoutesAreThePolicys: retries are the policy's alone, with the BackendTrafficPolicy; failover goes by the rules of the HTTPRoute,
// and not by a client's header.
func TestRoutesAreThePolicys(t *testing.T) {
	u, eu, limited, plain := upstream.New(t), upstream.New(t), upstream.New(t), upstream.New(t)
	objects := rendered(t, `clusters:
  pricing:
    circuit_breaker: {failure_threshold: 2, recovery_timeout: 60s}
    retry: {max_attempts: 2, base_delay: 10ms, max_delay: 20ms, retry_on: [5xx]}
    failover: {to: [eu]}
  limited: {rate_limit: {}}
`, image(t), func(o *gateway.Options) {
		o.Upstreams = upstreamsOf(t, "pricing=shop/pricing/0", "eu=shop/pricing/1", "limited=shop/limited")
	})
	const second = "httproute/shop/pricing/rule/1"
	c := newControlPlane(t, objects, freeRoute(plain), backend("pricing", u.Port()), backend("eu", eu.Port()), backend("limited", limited.Port()),
		route("pricing", to("pricing"), whenCluster(second, "eu")), route("limited", to("limited")))
	c.waitForRoutes(free)

	u.Script(upstream.Status(503), upstream.OK())
	if a := c.get("http", "pricing"); a.status != 200 || u.Count() != 2 {
		t.Errorf("got %d after %d attempts, want 200 after 2", a.status, u.Count())
	}
	if a := c.get("http", "pricing", "x-weir-cluster", second); a.status != 200 || eu.Count() != 0 {
		t.Errorf("a client's x-weir-cluster: got %d, and %d requests to the other cluster, want 200 and none", a.status, eu.Count())
	}
	u.Set(upstream.Status(503))
	c.eventually(func() error { // until the breaker opens
		if a := c.get("http", "pricing"); eu.Count() == 0 {
			return fmt.Errorf("got %d with headers %v, and no request to the cluster of the failover", a.status, a.header)
		}
		return nil
	})
	for _, want := range []string{
		`"consecutive_5xx": 2,`, `"base_ejection_time": "60s",`, `"base_interval": "0.010s",`, `"max_interval": "0.020s"`,
	} {
		if dump := c.admin("/config_dump"); !strings.Contains(dump, want) {
			t.Errorf("Envoy has no %s of the BackendTrafficPolicy", want)
		}
	}
	limited.Set(upstream.Status(503))
	if a := c.get("http", "limited"); a.status != 503 || limited.Count() != 1 {
		t.Errorf("a policy without retries: got %d after %d attempts, want 503 after one", a.status, limited.Count())
	}
}

// TestMergedBackends: with mergeBackends the rules of two routes are one cluster, by the backend's name, and have one count.
func TestMergedBackends(t *testing.T) {
	u := upstream.New(t)
	const cluster = "backend/shop/pricing/0/http"
	objects := rendered(t, "clusters: {"+cluster+": {rate_limit: {requests: 5, window_size: 600s}}}", image(t), nil)
	for _, o := range objects {
		if o.Kind == "EnvoyProxy" {
			o.Spec.(map[string]any)["mergeBackends"] = map[string]any{}
		}
	}
	c := newControlPlane(t, objects, backend("pricing", u.Port()), route("pricing", to("pricing")), route("other", to("pricing")), freeRoute(u))
	c.waitForRoutes(free)
	if got := c.count(4, "http", "pricing"); got[200] != 4 {
		t.Errorf("4 requests: got %v, want 200 alone; clusters:\n%s", got, c.admin("/clusters"))
	}
	if got := c.count(4, "http", "other"); got[200] != 1 || got[429] != 3 {
		t.Errorf("4 more by the other route: got %v, want one 200 and three 429", got)
	}
}

// TestMergedGateways: the patches reach the listener of a GatewayClass whose Gateways are one Envoy, and by the other names that
// listeners have with a runtime flag.
func TestMergedGateways(t *testing.T) {
	u := upstream.New(t)
	ports := map[string]uint32{"http": engine.FreePort(t), "second": engine.FreePort(t)}
	names := []string{fmt.Sprintf("tcp-%d", ports["http"]), fmt.Sprintf("tcp-%d", ports["second"])}
	objects := rendered(t, "clusters: {pricing: {rate_limit: {requests: 5, window_size: 600s}}}", image(t), func(o *gateway.Options) {
		o.Upstreams = upstreamsOf(t, "pricing=shop/pricing")
		o.Listeners, o.EnvoyListeners, o.GatewayClass = nil, names, "eg"
	})
	for _, o := range objects {
		if o.Kind == "EnvoyProxy" {
			o.Spec.(map[string]any)["mergeGateways"] = true
		}
	}
	const parameters = "parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: weir"
	c := start(t, ports, strings.NewReplacer(
		"extensionApis:", "runtimeFlags: {enabled: [XDSNameSchemeV2]}\nextensionApis:",
		"  infrastructure: {"+parameters+"}}\n", "", "spec: {controllerName", "spec: {"+parameters+", namespace: shop}, controllerName",
		"kind: Gateway,", "kind: GatewayClass,",
	), objects, backend("pricing", u.Port()), route("pricing", to("pricing")), freeRoute(u))
	c.waitForRoutes(free)
	if got := c.count(8, "http", "pricing"); got[200] != 5 || got[429] != 3 {
		t.Errorf("got %v, want five 200 and three 429", got)
	}
	for _, name := range names {
		filters := c.httpFilters()[name]
		if len(filters) < 2 || filters[0].Name != "resolve_route" || filters[1].TypedConfig.Config.VM.ID != "weir/shop/weir" {
			t.Errorf("%s: got filters %+v, want resolve_route, then Weir with the patched vm_id", name, filters)
		}
	}
}

// TestGatewaySharesALimit: the patched cluster leads to the bridge, and a token comes from Envoy's environment: without Redis, and
// without the token, nothing would be admitted.
func TestGatewaySharesALimit(t *testing.T) {
	_, bridge := redis.Start(t, redis.Upstash)
	t.Setenv("WEIR_BRIDGE_TOKEN", bridge.Token)
	u := upstream.New(t)
	objects := rendered(t, "clusters: {pricing: {rate_limit: {requests: 5, window_size: 600s, scope: mesh}}}\n"+
		"redis: {dialect: upstash, token: '${WEIR_BRIDGE_TOKEN}', on_error: deny}", image(t), func(o *gateway.Options) {
		o.Upstreams = upstreamsOf(t, "pricing=shop/pricing")
		o.Redis, o.HostEnv = fmt.Sprintf("127.0.0.1:%d", bridge.Port), []string{"WEIR_BRIDGE_TOKEN"}
	})
	c := newControlPlane(t, objects, backend("pricing", u.Port()), route("pricing", to("pricing")), freeRoute(u))
	c.waitForRoutes(free)
	if got := c.count(8, "http", "pricing"); got[200] != 5 || got[429] != 3 {
		t.Errorf("got %v, want five 200 and three 429", got)
	}
}

// TestChangedPolicyUnderLoad: a changed EnvoyExtensionPolicy takes hold while requests run, and none is lost; one with a mistake is
// refused, and the one before stays.
func TestChangedPolicyUnderLoad(t *testing.T) {
	u := upstream.New(t)
	module := image(t)
	policy := func(limit int) []kube.Object {
		return rendered(t, fmt.Sprintf("clusters: {pricing: {rate_limit: {requests: %d, window_size: 600s}}}", limit), module, func(o *gateway.Options) {
			o.Upstreams = upstreamsOf(t, "pricing=shop/pricing")
		})
	}
	c := newControlPlane(t, policy(1000000), backend("pricing", u.Port()), route("pricing", to("pricing")), freeRoute(u))
	c.waitForRoutes(free)
	await := func(status int) {
		t.Helper()
		c.eventually(func() error {
			if a := c.get("http", "pricing"); a.status != status {
				return fmt.Errorf("got %d, want %d by the changed policy", a.status, status)
			}
			return nil
		})
	}
	await(200)

	stop, done := make(chan struct{}), make(chan load.Answers)
	go func() {
		done <- load.Run(t, load.Plan{URL: c.url("http"), Host: "pricing.example.com", Connections: 8, Rate: 200, Stop: stop})
	}()
	u.WaitCount(100)
	c.apply(text(t, policy(5)))
	await(429)
	c.apply(strings.Replace(text(t, policy(5)), "requests: 5", "requests: 0", 1))
	c.waitOutput("rate_limit.requests: must be at least 1, got 0")
	if a := c.get("http", "pricing"); a.status != 429 {
		t.Errorf("after a policy with a mistake: got %d, want 429 by the one before", a.status)
	}
	c.apply(text(t, policy(1000000)))
	await(200)
	close(stop)
	answers := <-done
	statuses := answers.Statuses()
	if failed := answers.Failed(); len(failed) > 0 || len(statuses) != 2 || statuses[200] < 100 || statuses[429] == 0 {
		t.Errorf("got %v and %d failed, want 200 and 429 alone", statuses, len(failed))
		for _, a := range failed[:min(len(failed), 3)] {
			t.Log(a.Err)
		}
	}
	t.Logf("%v", statuses)
}

package gateway

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/envoy/kube/kubetest"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/envoy/render/rendertest"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// basic are the options that each policy needs.
func basic() Options {
	o := Defaults()
	o.Module, o.Gateway, o.Listeners = "oci://registry.example.com/weir:1", "eg", []string{"http"}
	return o
}

// shop has every option but those that exclude others.
func shop() Options {
	o := basic()
	o.Name, o.Namespace, o.Listeners = "limits", "shop", []string{"http", "https"}
	o.Module, o.SHA256, o.ImagePullPolicy = "https://files.example.com/weir.wasm", strings.Repeat("0a", 32), "IfNotPresent"
	o.Upstreams = upstreams("pricing=shop/pricing/0", "pricing_eu=shop/pricing/1", "cart=grpcroute/shop/cart")
	o.Routes = []Target{{"HTTPRoute", "pricing"}, {"GRPCRoute", "cart"}}
	o.HostEnv, o.EnvoyProxy = []string{"WEIR_BRIDGE_TOKEN"}, true
	o.Admin, o.AdminHosts, o.Bridge = "9902", []string{"weir.example.com"}, "registry.example.com/weir-bridge:1"
	return o
}

func upstreams(all ...string) (list []Upstream) {
	for _, s := range all {
		u, err := ParseUpstream(s)
		if err != nil {
			panic(err)
		}
		list = append(list, u)
	}
	return list
}

// with reads a policy as the command does.
func (o Options) with(t *testing.T, yaml string) Options {
	t.Helper()
	kubetest.Read(t, &o.Options, yaml, o.Named, render.Options{HostEnv: o.HostEnv}.Getenv)
	return o
}

func TestGolden(t *testing.T) {
	t.Setenv("WEIR_BRIDGE_TOKEN", "t")
	everything, err := os.ReadFile(filepath.Join("testdata", "shop.policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for file, o := range map[string]Options{
		"shop.yaml":  shop().with(t, string(everything)),
		"small.yaml": basic().with(t, "default: {rate_limit: {}}"),
	} {
		t.Run(file, func(t *testing.T) {
			objects, _, err := Objects(o)
			if err != nil {
				t.Fatal(err)
			}
			validate(t, objects)
			text, err := kube.YAML("render gateway", objects)
			if err != nil {
				t.Fatal(err)
			}
			rendertest.Golden(t, filepath.Join("testdata", file), text, *update)
		})
	}
}

// TestUnusedUpstream: a name that is misspelled would limit nothing.
func TestUnusedUpstream(t *testing.T) {
	o := basic()
	o.Upstreams = upstreams("a=shop/a", "typo=shop/b")
	if _, warnings, err := Objects(o.with(t, "clusters: {a: {rate_limit: {}}}")); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "--upstream typo: no policy applies to it") {
		t.Errorf("got %q, %v, want a warning about the upstream", warnings, err)
	}
}

// TestOptions: what each option changes in the objects, as lines of their YAML, which the schemas of the CRDs take.
func TestOptions(t *testing.T) {
	const (
		limited = "clusters: {httproute/a/b/rule/0: {rate_limit: {}}}"
		mesh    = "clusters: {httproute/a/b/rule/0: {rate_limit: {scope: mesh}}}\n"
	)
	byHTTPS := func(o *Options) { o.Module, o.SHA256 = "https://a.example.com:8443/w.wasm", strings.Repeat("ab", 32) }
	for name, tc := range map[string]struct {
		change func(*Options)
		policy string
		lines  []string // wanted; with ! in front, not wanted
	}{
		"nothing": {nil, limited, []string{
			"namespace: default", "kind: Gateway", "name: eg", "type: Image", "url: registry.example.com/weir:1", "rootID: weir", "failOpen: false",
			"name: default/eg/http", "name: resolve_route", "httproute/a/b/rule/0:", "jsonPath: ..http_filters[?(@.typed_config.config.name=='weir')]",
			"path: /early_header_mutation_extensions/-", "path: /vm_config/vm_id", "value: weir/default/weir", "value: FAIL_RELOAD",
			"base_interval: 0.100s", "!hostKeys:", "!kind: EnvoyProxy", "!kind: BackendTrafficPolicy", "!name: weir_admin",
		}},
		"a namespace":        {func(o *Options) { o.Namespace = "shop" }, limited, []string{"namespace: shop", "name: shop/eg/http"}},
		"listeners":          {func(o *Options) { o.Listeners = []string{"a", "b"} }, limited, []string{"name: default/eg/a", "name: default/eg/b"}},
		"Envoy's listeners":  {func(o *Options) { o.Listeners, o.EnvoyListeners = nil, []string{"tcp-80"} }, limited, []string{"name: tcp-80", "!name: default/eg/http"}},
		"merged Gateways":    {func(o *Options) { o.GatewayClass = "all" }, limited, []string{"kind: GatewayClass", "name: all", "kind: Gateway"}},
		"routes":             {func(o *Options) { o.Routes = []Target{{"GRPCRoute", "g"}} }, limited, []string{"kind: GRPCRoute", "name: g"}},
		"a pull secret":      {func(o *Options) { o.ImagePullSecret = "pull" }, limited, []string{"pullSecretRef:", "name: pull"}},
		"always pulled":      {func(o *Options) { o.ImagePullPolicy = "Always" }, limited, []string{"pullPolicy: Always"}},
		"https":              {byHTTPS, limited, []string{"type: HTTP", "url: https://a.example.com:8443/w.wasm", "sha256: " + strings.Repeat("ab", 32), "!type: Image"}},
		"fail open":          {func(o *Options) { o.FailOpen = true }, limited, []string{"failOpen: true", "!value: FAIL_RELOAD", "!path: /reload_config"}},
		"variables":          {func(o *Options) { o.HostEnv = []string{"B", "A", "B"} }, limited, []string{"hostKeys:", "- A", "- B"}},
		"no patches":         {func(o *Options) { o.NoPatches, o.Listeners = true, nil }, limited, []string{"!kind: EnvoyPatchPolicy"}},
		"an EnvoyProxy":      {func(o *Options) { o.EnvoyProxy = true }, limited, []string{"kind: EnvoyProxy", "type: Merge", "value: |"}},
		"the admin":          {func(o *Options) { byHTTPS(o); o.Admin = "9902" }, limited, []string{"port_value: 9902", "address: 127.0.0.1", "vm_id: weir/default/weir", "name: weir_module", "port_value: 8443"}},
		"http":               {func(o *Options) { byHTTPS(o); o.Admin, o.Module = "9902", "http://a/w.wasm" }, limited, []string{"uri: http://a/w.wasm", "port_value: 80"}},
		"retries":            {nil, "clusters: {httproute/a/b/rule/*: {retry: {base_delay: 20ms, max_delay: 1500ms}}}", []string{"kind: BackendTrafficPolicy", "namespace: a", "name: weir-b", "numRetries: 0", "baseInterval: 20ms", "maxInterval: 1s500ms", "!passive:"}},
		"a breaker":          {nil, "clusters: {grpcroute/a/b/rule/0: {circuit_breaker: {failure_threshold: 9, recovery_timeout: 90s}}}", []string{"kind: GRPCRoute", "consecutive5XxErrors: 9", "baseEjectionTime: 1m30s", "!numRetries: 0"}},
		"the same rules":     {nil, "clusters: {httproute/a/b/rule/0: {retry: {}}, httproute/a/b/rule/1: {retry: {}}}", []string{"name: weir-b"}},
		"shadow":             {nil, "clusters: {httproute/a/b/rule/0: {mode: shadow, retry: {}, circuit_breaker: {}}}", []string{"!kind: BackendTrafficPolicy"}},
		"a bridge":           {func(o *Options) { o.Bridge = "r.example.com/b:1" }, mesh + "redis: {dialect: upstash}", []string{"image: r.example.com/b:1", "- --insecure", "address: weir-bridge.default.svc.cluster.local", "name: redis_http"}},
		"a bridge's token":   {func(o *Options) { o.Bridge = "b" }, mesh + "redis: {dialect: upstash, token: t}", []string{"key: WEIR_BRIDGE_TOKEN", "!- --insecure"}},
		"a bridge there":     {func(o *Options) { o.Redis = "h2://10.0.0.1:81" }, mesh + "redis: {cluster: r}", []string{"address: 10.0.0.1", "port_value: 81", "name: r", "!kind: Deployment"}},
		"a route's upstream": {func(o *Options) { o.Upstreams = upstreams("a=shop/a", "b=shop/b/2") }, "clusters: {a: {rate_limit: {}}, b: {bulkhead: {}}}", []string{"httproute/shop/a/rule/*:", "httproute/shop/b/rule/2:"}},
		"merged backends":    {nil, "clusters: {service/shop/a/80/http: {rate_limit: {}}}", []string{"service/shop/a/80/http:"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := basic()
			if tc.change != nil {
				tc.change(&o)
			}
			objects, warnings, err := Objects(o.with(t, tc.policy))
			if err != nil || warnings != nil {
				t.Fatalf("got warnings %q, %v", warnings, err)
			}
			validate(t, objects)
			kubetest.Lines(t, objects, tc.lines)
		})
	}
}

func TestMistakes(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Options)
		policy string
		want   string
	}{
		"no module":          {func(o *Options) { o.Module = "" }, "default: {}", "No image of Weir is published"},
		"a path":             {func(o *Options) { o.Module = "file:///weir.wasm" }, "default: {}", "want oci://HOST/weir:TAG"},
		"no gateway":         {func(o *Options) { o.Gateway = "" }, "default: {}", `gateway: "" is no name in Kubernetes`},
		"no listener":        {func(o *Options) { o.Listeners = nil }, "default: {}", "name of a listener of the Gateway is missing"},
		"a bad class":        {func(o *Options) { o.GatewayClass = "a/b" }, "default: {}", `gateway class: "a/b"`},
		"a bad listener":     {func(o *Options) { o.Listeners = []string{"a/b"} }, "default: {}", `listener: "a/b"`},
		"a bad name":         {func(o *Options) { o.Name = "Weir" }, "default: {}", `name: "Weir" is no name in Kubernetes`},
		"a bad checksum":     {func(o *Options) { o.SHA256 = "12" }, "default: {}", "64 hexadecimal digits"},
		"a secret of a file": {func(o *Options) { o.Module, o.ImagePullSecret = "https://a/b", "s" }, "default: {}", "a pull secret is for a module by oci://"},
		"an image's admin":   {func(o *Options) { o.Admin = "9902" }, "default: {}", "give the module by https://, with its sha256"},
		"an admin port":      {func(o *Options) { o.Module, o.SHA256, o.Admin = "https://a/b", strings.Repeat("ab", 32), "x" }, "default: {}", "weir admin:"},
		"an admin unpatched": {func(o *Options) { o.NoPatches, o.Bridge = true, "b" }, "default: {}", "need the EnvoyPatchPolicy"},
		"an unknown cluster": {nil, "clusters: {aws: {}}", "no cluster of Envoy Gateway is named aws: add --upstream aws=NAMESPACE/ROUTE"},
		"an unknown pattern": {nil, "clusters: {'aws_*': {}}", "no cluster of Envoy Gateway matches aws_*"},
		"two names of one":   {func(o *Options) { o.Upstreams = upstreams("a=b/c/0") }, "clusters: {a: {}, httproute/b/c/rule/0: {}}", "has both a and httproute/b/c/rule/0"},
		"driver filter":      {nil, "default: {retry: {driver: filter, via: x}}", "default.retry: driver filter needs an internal listener"},
		"a failover's name":  {nil, "clusters: {httproute/a/b/rule/0: {failover: {to: [c]}}}", "c is no rule of a route: add --upstream c=NAMESPACE/ROUTE/RULE"},
		"admin as a policy":  {nil, "admin: {}", "--weir-admin PORT"},
		"no redis section":   {func(o *Options) { o.Bridge = "b" }, "default: {}", "add `redis: {}`"},
		"no bridge":          {nil, "default: {rate_limit: {scope: mesh}}\nredis: {}", "add --bridge IMAGE"},
		"a bridge's dialect": {func(o *Options) { o.Bridge = "b" }, "default: {rate_limit: {scope: mesh}}\nredis: {}", "redis: {dialect: upstash}"},
		"two bridges":        {func(o *Options) { o.Bridge, o.Redis = "b", "c:1" }, "default: {rate_limit: {scope: mesh}}\nredis: {}", "give one of them"},
		"a bad address":      {func(o *Options) { o.Redis = "c" }, "default: {rate_limit: {scope: mesh}}\nredis: {}", "redis: want HOST:PORT"},
	} {
		t.Run(name, func(t *testing.T) {
			o := basic()
			if tc.change != nil {
				tc.change(&o)
			}
			if _, _, err := Objects(o.with(t, tc.policy)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for policy, want := range map[string]string{
		"clusters: {httproute/a/b/rule/0: {rate_limit: {}}}":                                                        "",
		"default: {retry: {}}":                                                                                      "default: the delays",
		"clusters: {'httproute/a/*': {circuit_breaker: {}}}":                                                        "clusters.httproute/a/*: the delays",
		"clusters: {service/a/b/80/http: {retry: {}}}":                                                              "clusters.service/a/b/80/http: the delays",
		"clusters: {httproute/a/b/rule/0: {retry: {}}, httproute/a/b/rule/1: {retry: {base_delay: 7ms}}}":           "httproute/a/b: its rules have different retries",
		"clusters: {httproute/a/b/rule/0: {failover: {to: [httproute/a/b/rule/1]}, circuit_breaker: {}}}":           "failover needs a match of the header x-weir-cluster",
		"clusters: {httproute/a/b/rule/0: {mode: shadow, retry: {}}, httproute/a/b/rule/1: {mode: off, retry: {}}}": "",
		"{policies: {partner: {}}, clusters: {httproute/a/b/rule/0: {}}}":                                           "policies.partner: it decides about the requests of routes and clusters whose metadata",
	} {
		_, warnings, err := Objects(basic().with(t, policy))
		if err != nil || len(warnings) > 1 || (len(warnings) == 0) != (want == "") || !strings.Contains(strings.Join(warnings, ""), want) {
			t.Errorf("%s: got %q, %v, want %q", policy, warnings, err, want)
		}
	}
}

func TestPatterns(t *testing.T) {
	for pattern, matches := range map[string]bool{
		"httproute/a/b/rule/0": true, "httproute/*": true, "*": true, "*rule/0": true, "http*": true, "service/a/b/80/http": true, "grpcroute/a*": true,
		"aws": false, "aws*": false, "httproute/": false, "httproutes/a": false,
	} {
		if err := controlPlane.CheckPattern(pattern); (err == nil) != matches {
			t.Errorf("CheckPattern(%q) = %v, want nil: %v", pattern, err, matches)
		}
	}
}

func TestParseUpstream(t *testing.T) {
	for s, want := range map[string]string{
		"a=shop/b": "httproute/shop/b/rule/*", "a=shop/b/12": "httproute/shop/b/rule/12",
		"a=grpcroute/shop/b": "grpcroute/shop/b/rule/*", "a=grpcroute/shop/b/0": "grpcroute/shop/b/rule/0", "a=httproute/shop/b/0": "httproute/shop/b/rule/0",
		"a=httproute/b": "httproute/httproute/b/rule/*", // a namespace may have that name
		"a":             "", "=shop/b": "", "a=b": "", "a=/b": "", "a=shop/": "", "a=shop/b/x": "", "a=shop/b/-1": "", "a=sh*/b": "", "a=shop/b/0/1": "", "a=tcproute/shop/b/0": "",
	} {
		got, err := ParseUpstream(s)
		if (err == nil) != (want != "") || err == nil && got.Cluster.String() != want {
			t.Errorf("ParseUpstream(%q) = %v, %v, want %q", s, got, err, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "1ms", time.Microsecond: "1ms", 250 * time.Millisecond: "250ms", time.Second: "1s", 90 * time.Second: "1m30s", time.Hour + time.Millisecond: "1h1ms",
	} {
		if got := duration(d); got != want {
			t.Errorf("duration(%s) = %s, want %s", d, got, want)
		}
	}
}

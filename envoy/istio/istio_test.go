package istio

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	extensionsv1alpha1 "istio.io/api/extensions/v1alpha1"

	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/envoy/kube/kubetest"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/envoy/render/rendertest"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// basic are the options that each policy needs.
func basic() Options {
	o := Defaults()
	o.Module = "oci://registry.example.com/weir:1"
	return o
}

// shop has every option but those that exclude others.
func shop() Options {
	o := basic()
	priority := int32(-3)
	o.Name, o.Namespace, o.Selector = "limits", "shop", map[string]string{"app": "cart", "tier": "web"}
	o.SHA256, o.ImagePullPolicy, o.Ports, o.Priority = strings.Repeat("0a", 32), extensionsv1alpha1.PullPolicy_IfNotPresent, []uint32{80, 9090}, &priority
	o.Upstreams = upstreams("pricing=pricing.example.com:80", "pricing_eu=pricing.eu.svc.cluster.local:8080/v2", "cart=inbound:8080")
	o.Env, o.HostEnv = map[string]string{"BURST": "7"}, []string{"WEIR_BRIDGE_TOKEN"}
	o.Admin, o.AdminHosts = "9902", []string{"weir.example.com"}
	o.Bridge, o.BridgeSecret, o.BootstrapIn = "registry.example.com/weir-bridge:1", "weir-redis", []string{"shop"}
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
	kubetest.Read(t, &o.Options, yaml, o.Named, render.Options{Env: o.Env, HostEnv: o.HostEnv}.Getenv)
	return o
}

// TestGolden compares whole outputs; e2e/istio has Istio's own validation and control plane read the same files.
func TestGolden(t *testing.T) {
	t.Setenv("WEIR_BRIDGE_TOKEN", "t")
	everything, err := os.ReadFile(filepath.Join("testdata", "shop.policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	waypoint := basic()
	waypoint.Namespace, waypoint.Targets = "shop", []Target{{"Gateway", "waypoint"}, {"Service", "cart"}}
	waypoint.Admin, waypoint.Redis = "9902", "h2://redis.example.com:7379"
	for file, o := range map[string]Options{
		"shop.yaml":      shop().with(t, string(everything)),
		"mesh-wide.yaml": basic().with(t, "default: {rate_limit: {}}"),
		"inbound.yaml":   basic().with(t, "clusters: {inbound|8080||: {bulkhead: {}}}"),
		"waypoint.yaml":  waypoint.with(t, "clusters: {inbound-vip|80|http|cart.shop.svc.cluster.local: {rate_limit: {scope: mesh}}}\nredis: {}"),
	} {
		t.Run(file, func(t *testing.T) {
			objects, _, err := Objects(o)
			if err != nil {
				t.Fatal(err)
			}
			got, err := YAML(objects)
			if err != nil {
				t.Fatal(err)
			}
			rendertest.Golden(t, filepath.Join("testdata", file), got, *update)
		})
	}
}

// TestOptions: what each option changes in the objects, as lines of their YAML.
func TestOptions(t *testing.T) {
	const limited = "clusters: {outbound|80||a.shop.svc.cluster.local: {rate_limit: {}}}"
	for name, tc := range map[string]struct {
		change func(*Options)
		policy string
		lines  []string // wanted; with ! in front, not wanted
	}{
		"nothing":           {nil, limited, []string{"namespace: istio-system", "mode: CLIENT", "phase: STATS", "failStrategy: FAIL_RELOAD", "!selector:", "!vmConfig:", "!exportTo:", "!kind: DestinationRule", "!context: SIDECAR_INBOUND", "!name: weir_admin"}},
		"a namespace":       {func(o *Options) { o.Namespace = "shop" }, limited, []string{"namespace: shop", "exportTo:", "name: extensions.istio.io/wasmplugin/shop.weir"}},
		"a root namespace":  {func(o *Options) { o.Namespace, o.RootNamespace = "root", "root" }, limited, []string{"namespace: root", "!exportTo:"}},
		"a selector":        {func(o *Options) { o.Selector = map[string]string{"app": "cart"} }, limited, []string{"matchLabels:", "workloadSelector:", "app: cart"}},
		"a target":          {func(o *Options) { o.Targets = []Target{{"Gateway", "gw"}} }, limited, []string{"targetRefs:", "kind: Gateway", "name: gw", "!mode: CLIENT", "!context: GATEWAY"}},
		"a target's side":   {func(o *Options) { o.Targets, o.Side = []Target{{"Gateway", "gw"}}, SideServer }, limited, []string{"mode: SERVER"}},
		"servers":           {nil, "clusters: {inbound|80||: {rate_limit: {}}}", []string{"mode: SERVER", "context: SIDECAR_INBOUND", "!context: SIDECAR_OUTBOUND", "!kind: VirtualService"}},
		"both":              {nil, "clusters: {inbound|80||: {}, outbound|80||a: {}}", []string{"mode: CLIENT_AND_SERVER", "context: SIDECAR_INBOUND", "context: SIDECAR_OUTBOUND", "context: GATEWAY"}},
		"a side":            {func(o *Options) { o.Side = SideBoth }, limited, []string{"mode: CLIENT_AND_SERVER", "context: SIDECAR_INBOUND"}},
		"ports":             {func(o *Options) { o.Ports = []uint32{80, 81} }, limited, []string{"- number: 80", "- number: 81"}},
		"a pull secret":     {func(o *Options) { o.ImagePullSecret = "pull" }, limited, []string{"imagePullSecret: pull"}},
		"always pulled":     {func(o *Options) { o.ImagePullPolicy = extensionsv1alpha1.PullPolicy_Always }, limited, []string{"imagePullPolicy: Always"}},
		"a checksum":        {func(o *Options) { o.SHA256, o.Admin = strings.Repeat("ab", 32), "9902" }, limited, []string{"sha256: " + strings.Repeat("ab", 32)}},
		"fail closed":       {func(o *Options) { o.FailStrategy = extensionsv1alpha1.FailStrategy_FAIL_CLOSE }, limited, []string{"!failStrategy: FAIL_RELOAD"}},
		"fail open":         {func(o *Options) { o.FailStrategy = extensionsv1alpha1.FailStrategy_FAIL_OPEN }, limited, []string{"failStrategy: FAIL_OPEN"}},
		"before all":        {func(o *Options) { o.Phase = extensionsv1alpha1.PluginPhase_AUTHN }, limited, []string{"phase: AUTHN"}},
		"a priority of 0":   {func(o *Options) { o.Priority = new(int32) }, limited, []string{"priority: 0"}},
		"variables":         {func(o *Options) { o.Env, o.HostEnv = map[string]string{"A": "on"}, []string{"B", "B"} }, limited, []string{"- name: A", `value: "on"`, "- name: B", "valueFrom: HOST"}},
		"the admin":         {func(o *Options) { o.Admin = "9902" }, limited, []string{"port_value: 9902", "address: 127.0.0.1", "uri: oci://registry.example.com/weir:1", "!vm_id: weir"}},
		"a module's file":   {func(o *Options) { o.Module, o.Admin = "file:///etc/weir.wasm", "9902" }, limited, []string{"url: file:///etc/weir.wasm", "filename: /etc/weir.wasm", "!remote:"}},
		"bootstraps":        {func(o *Options) { o.BootstrapIn = []string{"one", "two"} }, limited, []string{"kind: ConfigMap", "namespace: one", "namespace: two", "name: weir-bootstrap", "custom_bootstrap.json: |"}},
		"a breaker":         {nil, "clusters: {outbound|80||a: {circuit_breaker: {failure_threshold: 9, recovery_timeout: 7s}}}", []string{"kind: DestinationRule", "consecutive5xxErrors: 9", "baseEjectionTime: 7s", "number: 80"}},
		"every port":        {nil, "clusters: {outbound|*||a: {circuit_breaker: {}}}", []string{"!portLevelSettings:", "- name: any-port", "!- name: other-ports"}},
		"retries":           {nil, "clusters: {outbound|80||a: {retry: {base_delay: 20ms, max_delay: 3s}}}", []string{"name: a:80", "base_interval: 0.020s", "max_interval: 3s", "- name: retry-after"}},
		"retries of ports":  {nil, "clusters: {outbound|*||a: {retry: {}}}", []string{"domainName: a"}},
		"shadow":            {nil, "clusters: {outbound|80||a: {mode: shadow, rate_limit: {}, retry: {}, circuit_breaker: {}}}", []string{"!kind: VirtualService", "!kind: DestinationRule", "!applyTo: HTTP_ROUTE"}},
		"off":               {nil, "clusters: {outbound|80||a: {mode: off, rate_limit: {}}}", []string{"!kind: VirtualService", "mode: false"}},
		"on":                {nil, "clusters: {outbound|80||a: {fallback: {on: [circuit_open], default_data: {body: {x: 0.5}}}}}", []string{"\"on\":", "x: 0.5", "!kind: VirtualService"}},
		"a bridge":          {func(o *Options) { o.Bridge = "r.example.com/b:1" }, "clusters: {outbound|80||a: {rate_limit: {scope: mesh}}}\nredis: {dialect: upstash}", []string{"cluster: outbound|7379||weir-bridge.istio-system.svc.cluster.local", "- --insecure", "image: r.example.com/b:1", "!key: WEIR_BRIDGE_TOKEN"}},
		"a bridge's token":  {func(o *Options) { o.Bridge = "b" }, "clusters: {outbound|80||a: {rate_limit: {scope: mesh}}}\nredis: {dialect: upstash, token: t}", []string{"key: WEIR_BRIDGE_TOKEN", "!- --insecure"}},
		"a sidecar's token": {func(o *Options) { o.Bridge, o.HostEnv = "b", []string{"T"} }, "clusters: {outbound|80||a: {rate_limit: {scope: mesh}}}\nredis: {dialect: upstash, token: '${T:-}'}", []string{"key: WEIR_BRIDGE_TOKEN", "!- --insecure"}},
		"a bridge there":    {func(o *Options) { o.Redis = "webdis.tools.svc.cluster.local:7379" }, "clusters: {outbound|80||a: {rate_limit: {scope: mesh}}}\nredis: {}", []string{"cluster: outbound|7379||webdis.tools.svc.cluster.local", "!kind: ServiceEntry"}},
		"a bridge outside":  {func(o *Options) { o.Redis = "redis.example.com:80" }, "clusters: {outbound|80||a: {rate_limit: {scope: mesh}}}\nredis: {}", []string{"kind: ServiceEntry", "- redis.example.com", "protocol: HTTP"}},
		"a bridge by name":  {nil, "clusters: {outbound|80||a: {rate_limit: {scope: mesh}}}\nredis: {cluster: outbound|7379||b}", []string{"cluster: outbound|7379||b"}},
		"a named policy":    {func(o *Options) { o.Chosen = []Chosen{{"p", Cluster{"outbound", "80", "v2", "a"}, ""}} }, limited + "\npolicies: {p: {rate_limit: {}}}", []string{"applyTo: CLUSTER", "name: outbound|80|v2|a", "filter_metadata:", "policy: p", "!applyTo: HTTP_ROUTE"}},
		"a route's policy":  {func(o *Options) { o.Chosen = []Chosen{{"p", Cluster{"outbound", "80", "", "a"}, "partner"}} }, limited + "\npolicies: {p: {rate_limit: {}}}", []string{"applyTo: HTTP_ROUTE", "name: a:80", "name: partner", "policy: p", "!applyTo: CLUSTER"}},
		"names of upstream": {func(o *Options) { o.Upstreams = upstreams("a=a.example.com:81", "b=b.example.com:82", "c=inbound:83") }, "clusters: {a: {circuit_breaker: {}, failover: {to: [b]}}, b: {rate_limit: {}}, c: {}}", []string{"outbound|81||a.example.com:", "- outbound|82||b.example.com", "exact: outbound|82||b.example.com", "inbound|83||: {}"}},
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
		"a path":             {func(o *Options) { o.Module = "build/weir.wasm" }, "default: {}", "want oci://HOST/weir:TAG"},
		"a relative file":    {func(o *Options) { o.Module = "file://etc/weir.wasm" }, "default: {}", "three slashes"},
		"no host":            {func(o *Options) { o.Module = "oci:///weir" }, "default: {}", "want oci://HOST/weir:TAG"},
		"a bad name":         {func(o *Options) { o.Name = "Weir" }, "default: {}", `name: "Weir" is no name in Kubernetes`},
		"a long name":        {func(o *Options) { o.Name = strings.Repeat("a", 300) }, "default: {}", "name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa… is too long for a name in Kubernetes: 300 characters, at most 253"},
		"a host's bad name":  {nil, "clusters: {outbound|80||a_b.x: {circuit_breaker: {}}}", `the name of the VirtualService: "weir-a_b.x" is no name in Kubernetes`},
		"a bad checksum":     {func(o *Options) { o.SHA256 = "12" }, "default: {}", "64 hexadecimal digits"},
		"selector, target":   {func(o *Options) { o.Selector, o.Targets = map[string]string{"a": "b"}, []Target{{"Gateway", "g"}} }, "default: {}", "exclude each other"},
		"both variables":     {func(o *Options) { o.Env, o.HostEnv = map[string]string{"A": ""}, []string{"A"} }, "default: {}", "environment variable A: given with a value"},
		"an admin port":      {func(o *Options) { o.Admin = "x" }, "default: {}", "weir admin:"},
		"an admin's secret":  {func(o *Options) { o.Admin, o.ImagePullSecret = "9902", "s" }, "default: {}", "needs a secret to be pulled"},
		"an unknown cluster": {nil, "clusters: {aws: {}}", "no cluster of Istio is named aws: add --upstream aws=HOST:PORT"},
		"an unknown pattern": {nil, "clusters: {'aws_*': {}}", "no cluster of Istio matches aws_*"},
		"two names of one":   {func(o *Options) { o.Upstreams = upstreams("a=b:1") }, "clusters: {a: {}, outbound|1||b: {}}", "has both a and outbound|1||b"},
		"driver filter":      {nil, "default: {retry: {driver: filter, via: x}}", "default.retry: driver filter needs an internal listener"},
		"a failover's name":  {nil, "clusters: {outbound|1||b: {failover: {to: [c]}}}", "c is no outbound cluster of Istio: add --upstream c=HOST:PORT"},
		"admin as a policy":  {nil, "admin: {}", "--weir-admin PORT"},
		"no redis section":   {func(o *Options) { o.Bridge = "b" }, "default: {}", "add `redis: {}`"},
		"no bridge":          {nil, "default: {rate_limit: {scope: mesh}}\nredis: {}", "add --bridge IMAGE"},
		"a bridge's dialect": {func(o *Options) { o.Bridge = "b" }, "default: {rate_limit: {scope: mesh}}\nredis: {}", "redis: {dialect: upstash}"},
		"no such policy":     {func(o *Options) { o.Chosen = []Chosen{{"p", Cluster{"outbound", "80", "", "a"}, ""}} }, "default: {}", "policies: the policy has none by the name p"},
		"two bridges":        {func(o *Options) { o.Bridge, o.Redis = "b", "c:1" }, "default: {rate_limit: {scope: mesh}}\nredis: {}", "give one of them"},
		"an address":         {func(o *Options) { o.Redis = "10.0.0.1:1" }, "default: {rate_limit: {scope: mesh}}\nredis: {}", "10.0.0.1 is an address"},
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
		"clusters: {outbound|80||a: {rate_limit: {}}}":      "",
		"default: {retry: {}}":                              "default: the delays between its retries can't be written",
		"clusters: {outbound|80|v2|a: {retry: {}}}":         "clusters.outbound|80|v2|a: the delays",
		"clusters: {'*.example.com': {retry: {}}}":          "clusters.*.example.com: the delays",
		"clusters: {outbound|80|v2|a: {rate_limit: {}}}":    "",
		"clusters: {inbound|80||: {}, '*': {bulkhead: {}}}": "",

		"{policies: {a: {}}, clusters: {outbound|80||a: {}}}": "policies.a: no --route-policy or --cluster-policy chooses it",
	} {
		_, warnings, err := Objects(basic().with(t, policy))
		if err != nil || len(warnings) > 1 || strings.Join(warnings, "") == "" != (want == "") || !strings.Contains(strings.Join(warnings, ""), want) {
			t.Errorf("%s: got %q, %v, want %q", policy, warnings, err, want)
		}
	}
	o := basic().with(t, "{policies: {a: {retry: {}}, b: {}}, clusters: {outbound|80||a: {}}}")
	o.Chosen = []Chosen{{Policy: "a", Cluster: Cluster{Direction: outbound, Port: "80", Host: "a"}}, {Policy: "b", Cluster: Cluster{Direction: outbound, Port: "80", Host: "a"}, Route: "b"}}
	if _, warnings, err := Objects(o); err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "policies.a: the delays between its retries can't be written") {
		t.Errorf("policies that are chosen: got %q, %v, want a warning about the retries of one", warnings, err)
	}
	o = basic()
	o.Upstreams = upstreams("a=a:80", "typo=b:80")
	if _, warnings, err := Objects(o.with(t, "clusters: {a: {rate_limit: {}}}")); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "--upstream typo: no policy applies to it") {
		t.Errorf("got %q, %v, want a warning about the upstream", warnings, err)
	}
	o = basic().with(t, "clusters: {inbound|80||: {bulkhead: {}}}")
	o.Side = SideClient
	if _, warnings, err := Objects(o); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "--side both") {
		t.Errorf("got %q, %v, want a warning about the side", warnings, err)
	}
}

func TestPatterns(t *testing.T) {
	for pattern, matches := range map[string]bool{
		"outbound|80||a": true, "*": true, "*example.com": true, "out*": true, "outbound|80|*": true, "inbound|80||": true,
		"inbound-vip|80|http|a": true, "PassthroughCluster": true, "Black*": true, "BlackHoleCluster": true, "InboundPass*": true,
		"outbound_.80_._.a": true, "aws": false, "aws*": false, "outbound": false, "outbound-*": false, "Pass": false,
	} {
		if err := controlPlane.CheckPattern(pattern); (err == nil) != matches {
			t.Errorf("CheckPattern(%q) = %v, want nil: %v", pattern, err, matches)
		}
	}
}

func TestParseUpstream(t *testing.T) {
	for s, want := range map[string]string{
		"a=b.example.com:80": "outbound|80||b.example.com", "a=b:80/v2": "outbound|80|v2|b", "a=inbound:8080": "inbound|8080||",
		"a": "", "=b:1": "", "a=b": "", "a=b:0": "", "a=b:70000": "", "a=:1": "", "a=b|c:1": "", "a=*:1": "", "a=b:1/v/w": "", "a=inbound:1/v": "",
	} {
		got, err := ParseUpstream(s)
		if (err == nil) != (want != "") || err == nil && got.Cluster.String() != want {
			t.Errorf("ParseUpstream(%q) = %v, %v, want %q", s, got, err, want)
		}
	}
}

func TestParseChosen(t *testing.T) {
	for s, want := range map[string]Chosen{
		"p=a:80/r": {"p", Cluster{"outbound", "80", "", "a"}, "r"}, "p=a:80": {}, "p=inbound:80": {}, "a:80/r": {},
	} {
		if got, err := ParseChosenRoute(s); (err == nil) != (want != Chosen{}) || err == nil && got != want {
			t.Errorf("ParseChosenRoute(%q) = %v, %v, want %v", s, got, err, want)
		}
	}
	if got, err := ParseChosenCluster("p=a:80/v2"); err != nil || got != (Chosen{"p", Cluster{"outbound", "80", "v2", "a"}, ""}) {
		t.Errorf("got %v, %v, want the cluster", got, err)
	}
}

func TestKustomize(t *testing.T) {
	t.Setenv("WEIR_BRIDGE_TOKEN", "t")
	everything, err := os.ReadFile(filepath.Join("testdata", "shop.policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	objects, _, err := Objects(shop().with(t, string(everything)))
	if err != nil {
		t.Fatal(err)
	}
	files, err := kube.Kustomize("render istio", objects, "weir")
	if err != nil {
		t.Fatal(err)
	}
	last := files[len(files)-1]
	var kustomization struct{ Resources []string }
	if err := yaml.Unmarshal(last.Content, &kustomization); err != nil || last.Path != "weir/kustomization.yaml" {
		t.Fatalf("%s: %v", last.Path, err)
	}
	var names []string
	for _, f := range files[:len(files)-1] {
		names = append(names, strings.TrimPrefix(f.Path, "weir/"))
	}
	if diff := cmp.Diff(names, kustomization.Resources); diff != "" || len(names) != len(objects) {
		t.Errorf("got %d objects; files and resources differ: %s", len(objects), diff)
	}
	if len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
		t.Errorf("got a file twice in %v", names)
	}
}

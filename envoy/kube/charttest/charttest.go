// Package charttest checks Helm charts, by what renders them: Helm itself in e2e/istio, and templates alone in the unit tests.
package charttest

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/weir-mesh/weir/envoy/gateway"
	"github.com/weir-mesh/weir/envoy/istio"
	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/envoy/kube/kubetest"
	"github.com/weir-mesh/weir/envoy/render"
)

// Renderer is what `helm template` does with the chart in a folder: the texts of its templates, for values besides its own.
type Renderer func(dir string, values map[string]any) (map[string]string, error)

const (
	secondModule = "registry.example.com/other:2"
	checksum     = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"

	// templated is what Go's templates would take for actions, and what looks like another type than it is.
	templated = `
clusters:
  NAME:
    rate_limit: {requests: 1000000, window_size: 60s}
    circuit_breaker: {}
    retry: {max_attempts: 2}
    fallback: {default_data: {body: {actions: "{{ .Values.policy }} }} {{ {{- end -}}", "yes": "no", n: 1e6, big: 123456789, half: 0.5, none: null, alone: {none: null}, empty: {}, list: [1, "2", null, {a: null}]}}}
`
	mesh = templated + "redis: {dialect: upstash, token: '${WEIR_BRIDGE_TOKEN:-}'}\n"
)

// charts makes a chart of each kind, and the same with other values.
func charts(t *testing.T) map[string][2]kube.Chart {
	t.Helper()
	both := func(makes func(changed bool) kube.Chart) [2]kube.Chart {
		return [2]kube.Chart{makes(false), makes(true)}
	}
	return map[string][2]kube.Chart{
		"a mesh":            both(func(changed bool) kube.Chart { return istioChart(t, templated, "oci://", changed, nil) }),
		"a file":            both(func(changed bool) kube.Chart { return istioChart(t, templated, "file:///", changed, nil) }),
		"a mesh's bridge":   both(func(changed bool) kube.Chart { return istioChart(t, mesh, "https://", changed, istioBridge) }),
		"a Gateway":         both(func(changed bool) kube.Chart { return gatewayChart(t, templated, "oci://", changed, nil) }),
		"a Gateway's URL":   both(func(changed bool) kube.Chart { return gatewayChart(t, mesh, "https://", changed, gatewayBridge) }),
		"a Gateway's admin": both(func(changed bool) kube.Chart { return gatewayChart(t, templated, "https://", changed, gatewayAdmin) }),
	}
}

func istioBridge(o *istio.Options) {
	o.Bridge, o.HostEnv, o.Env["A"] = "registry.example.com/bridge:1", []string{"WEIR_BRIDGE_TOKEN"}, "{{ a }}"
}

func gatewayBridge(o *gateway.Options) {
	o.Bridge, o.HostEnv, o.EnvoyProxy = "registry.example.com/bridge:1", []string{"WEIR_BRIDGE_TOKEN"}, true
}

func gatewayAdmin(o *gateway.Options) { o.Admin, o.SHA256 = "9902", checksum }

func istioChart(t *testing.T, document, kind string, changed bool, change func(*istio.Options)) kube.Chart {
	t.Helper()
	o := istio.Defaults()
	u, err := istio.ParseUpstream("NAME=pricing.example.com:80")
	if err != nil {
		t.Fatal(err)
	}
	o.Upstreams, o.Module, o.Admin, o.BootstrapIn = []istio.Upstream{u}, kind+"registry.example.com/weir:1", "9902", []string{"one", "two"}
	if change != nil {
		change(&o)
	}
	if changed {
		otherValues(&o.Options)
		o.RootNamespace = o.Namespace
		document = strings.Replace(document, "1000000", "7", 1)
	}
	kubetest.Read(t, &o.Options, document, o.Named, render.Options{Env: o.Env, HostEnv: o.HostEnv}.Getenv)
	chart, _, err := istio.Chart(o)
	if err != nil {
		t.Fatal(err)
	}
	return chart
}

func gatewayChart(t *testing.T, document, kind string, changed bool, change func(*gateway.Options)) kube.Chart {
	t.Helper()
	o := gateway.Defaults()
	u, err := gateway.ParseUpstream("NAME=shop/pricing")
	if err != nil {
		t.Fatal(err)
	}
	o.Upstreams, o.Module, o.Gateway, o.Listeners = []gateway.Upstream{u}, kind+"registry.example.com/weir:1", "eg", []string{"http", "https"}
	if change != nil {
		change(&o)
	}
	if changed {
		admin := o.SHA256
		otherValues(&o.Options)
		if o.Admin != "" { // then the module is no value
			o.Module, o.SHA256 = kind+"registry.example.com/weir:1", admin
		}
		document = strings.Replace(document, "1000000", "7", 1)
	}
	kubetest.Read(t, &o.Options, document, o.Named, render.Options{HostEnv: o.HostEnv}.Getenv)
	chart, _, err := gateway.Chart(o)
	if err != nil {
		t.Fatal(err)
	}
	return chart
}

func otherValues(o *kube.Options) {
	kind, _, _ := strings.Cut(o.Module, "registry")
	o.Namespace, o.Module, o.SHA256 = "0123", kind+secondModule, checksum
	if o.Bridge != "" {
		o.Bridge = secondModule
	}
}

// Check compares what charts give with the objects of the YAML form: by the charts' own values, and by other values with what is
// rendered for these.
func Check(t *testing.T, helm Renderer) {
	t.Setenv("WEIR_BRIDGE_TOKEN", "t")
	for name, pair := range charts(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			written := write(t, pair[0], dir)
			same(t, helm, dir, nil, pair[0].Plain)
			own := values(t, written)
			other := values(t, write(t, pair[1], t.TempDir()))
			if bridge, ok := other["bridge"].(map[string]any); ok {
				bridge["replicas"] = 5
				for _, o := range pair[1].Plain {
					if o.Kind == "Deployment" {
						o.Spec.(map[string]any)["replicas"] = 5
					}
				}
			}
			same(t, helm, dir, other, pair[1].Plain)
			if module, ok := own["module"].(map[string]any); ok {
				module["url"] = "ftp://" + secondModule
				if got, err := helm(dir, own); err == nil || !strings.Contains(err.Error(), "module.url has to begin with") {
					t.Errorf("a module of another kind: got %d templates and %v, want an error", len(got), err)
				}
			}
		})
	}
}

func write(t *testing.T, chart kube.Chart, dir string) map[string][]byte {
	t.Helper()
	files, err := chart.Files(dir)
	if err != nil {
		t.Fatal(err)
	}
	written := map[string][]byte{}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.Path, f.Content, 0o600); err != nil {
			t.Fatal(err)
		}
		written[strings.TrimPrefix(f.Path, dir+"/")] = f.Content
	}
	return written
}

func values(t *testing.T, files map[string][]byte) (all map[string]any) {
	t.Helper()
	if err := yaml.Unmarshal(files["values.yaml"], &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// same compares a rendered chart with objects, by kind, namespace and name.
func same(t *testing.T, helm Renderer, dir string, values map[string]any, want []kube.Object) {
	t.Helper()
	texts, err := helm(dir, values)
	if err != nil {
		t.Fatal(err)
	}
	got, wanted := map[string]any{}, map[string]any{}
	for _, text := range texts {
		add(t, got, []byte(text))
	}
	for _, o := range want {
		asJSON, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		add(t, wanted, asJSON)
	}
	if len(wanted) != len(want) || len(want) < 2 {
		t.Errorf("got %d objects with %d names, want at least 2, each with its name", len(want), len(wanted))
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(wanted)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("the objects by the chart (+) and by YAML (-): %s", diff)
	}
	for name := range wanted {
		if diff := cmp.Diff(wanted[name], got[name]); diff != "" {
			t.Errorf("%s by the chart (+) and by YAML (-): %s", name, diff)
		}
	}
}

func add(t *testing.T, to map[string]any, text []byte) {
	t.Helper()
	var o map[string]any
	if err := yaml.UnmarshalStrict(text, &o); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	metadata, _ := o["metadata"].(map[string]any)
	name, err := json.Marshal([]any{o["kind"], metadata["namespace"], metadata["name"]})
	if err != nil {
		t.Fatal(err)
	}
	to[string(name)] = o
}

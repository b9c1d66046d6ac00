package examples

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/weir-mesh/weir/envoy/istio"
	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/envoy/run"
	"github.com/weir-mesh/weir/policy"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the rendered examples")

// root is the module's root, which the paths in the quickstart are relative to.
const root = "../.."

func TestPoliciesAreWithoutMistakes(t *testing.T) {
	for _, file := range []string{"quickstart.policy.yaml", "presets.yaml", "mesh.policy.yaml", "regions.policy.yaml", "routes.policy.yaml"} {
		t.Run(file, func(t *testing.T) {
			decode(t, policyJSON(t, file), nil)
		})
	}
}

// The presets' defaults, and the variables that replace them.
func TestPresets(t *testing.T) {
	asJSON := policyJSON(t, "presets.yaml")
	given := map[string]string{
		"AWS_RATE_LIMIT": "21", "AZURE_RATE_LIMIT": "101", "GCP_RATE_LIMIT": "61",
		"CIRCUIT_BREAKER_FAILURE_THRESHOLD": "6", "CIRCUIT_BREAKER_RECOVERY_TIMEOUT": "90s",
	}
	for _, test := range []struct {
		environment map[string]string
		requests    map[string]int64
		failures    int
		recovery    float64
	}{
		{nil, map[string]int64{"aws_pricing": 20, "azure_pricing": 100, "gcp_pricing": 60}, 5, 60},
		{given, map[string]int64{"aws_pricing": 21, "azure_pricing": 101, "gcp_pricing": 61}, 6, 90},
	} {
		document := decode(t, asJSON, test.environment)
		for cluster, requests := range test.requests {
			p := document.For(cluster)
			if got := p.RateLimit.Requests; got != requests {
				t.Errorf("%s: got limit %d a minute, want %d", cluster, got, requests)
			}
			if got := p.CircuitBreaker.FailureThreshold; got != test.failures {
				t.Errorf("%s: got failure_threshold %d, want %d", cluster, got, test.failures)
			}
			if got := p.CircuitBreaker.RecoveryTimeout.Seconds(); got != test.recovery {
				t.Errorf("%s: got recovery_timeout %g s, want %g", cluster, got, test.recovery)
			}
		}
	}
}

// The WasmPlugin has the quickstart's policy, under Istio's name for the cluster, also when read as Kubernetes reads
// YAML.
func TestIstioHasTheSamePolicy(t *testing.T) {
	raw, err := os.ReadFile("istio.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for text := range bytes.SplitSeq(raw, []byte("---\n")) {
		var plugin struct {
			Kind string `json:"kind"`
			Spec struct {
				PluginConfig json.RawMessage `json:"pluginConfig"`
			} `json:"spec"`
		}
		if err := yaml.Unmarshal(text, &plugin); err != nil {
			t.Fatal(err)
		}
		if plugin.Kind != "WasmPlugin" {
			continue
		}
		istio := decode(t, plugin.Spec.PluginConfig, nil)
		quickstart := decode(t, policyJSON(t, "quickstart.policy.yaml"), nil)
		got := istio.For("outbound|80||aws-pricing.shop.svc.cluster.local")
		if diff := cmp.Diff(quickstart.For(QuickstartCluster), got); diff != "" {
			t.Errorf("differs from the quickstart (-want +got): %s", diff)
		}
		return
	}
	t.Error("got no WasmPlugin")
}

func TestQuickstartIsTheRenderersOutput(t *testing.T) {
	for _, want := range quickstart(t) {
		committed := filepath.Join(root, want.Path)
		if *update {
			if err := (render.File{Path: committed, Content: want.Content}).Replace(); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(committed)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want.Content) {
			t.Errorf("%s differs from the rendered file (-want +got); go test ./envoy/examples -update rewrites it:\n%s", want.Path, cmp.Diff(string(want.Content), string(got)))
		}
	}
}

// Envoy accepts the bootstraps. In this mode it does not read the watched file, so the quickstart needs no module.
func TestEnvoyAcceptsTheExamples(t *testing.T) {
	binary, err := run.Find()
	if errors.Is(err, run.ErrNoEnvoy) {
		t.Skipf("needs an Envoy: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{QuickstartPath, "envoy/examples/routes.before.yaml"} {
		cmd := exec.CommandContext(context.Background(), binary.Path, "--mode", "validate", "-c", path, "-l", "warning")
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", binary.Path, err, out)
		}
	}
}

func quickstart(t *testing.T) []render.File {
	t.Helper()
	upstream, err := render.ParseUpstream(QuickstartCluster + "=" + QuickstartUpstream)
	if err != nil {
		t.Fatal(err)
	}
	files, err := render.Files(render.Options{
		Policy:    policyJSON(t, "quickstart.policy.yaml"),
		Upstreams: []render.Upstream{upstream},
	}, QuickstartPath)
	if err != nil {
		t.Fatal(err)
	}
	return append(files, istioExample(t), routesExample(t))
}

// routesExample is the output of
//
//	weir render filter -f routes.policy.yaml --weir-admin 9902 --into routes.before.yaml
func routesExample(t *testing.T) render.File {
	t.Helper()
	before, err := os.ReadFile("routes.before.yaml")
	if err != nil {
		t.Fatal(err)
	}
	asJSON := policyJSON(t, "routes.policy.yaml")
	content, warnings, err := render.Into(before, render.Options{Policy: asJSON, Document: decode(t, asJSON, nil), Admin: "9902"})
	if err != nil || warnings != nil {
		t.Fatalf("got warnings %v, %v", warnings, err)
	}
	return render.File{Path: RoutesPath, Content: content}
}

// The routes of the example name the policies of its document.
func TestRoutesNamePolicies(t *testing.T) {
	raw, err := os.ReadFile("routes.before.yaml")
	if err != nil {
		t.Fatal(err)
	}
	document := decode(t, policyJSON(t, "routes.policy.yaml"), nil)
	for _, p := range document.Policies {
		if !bytes.Contains(raw, []byte("metadata: {filter_metadata: {weir: {policy: "+p.Name+"}}}")) {
			t.Errorf("no route has the policy %s", p.Name)
		}
	}
	if n := bytes.Count(raw, []byte("{weir: {policy: ")); n != len(document.Policies) {
		t.Errorf("got %d routes with metadata, want %d, one for each policy", n, len(document.Policies))
	}
}

// istioExample is the output of
//
//	weir render istio -f quickstart.policy.yaml --module oci://registry.example.com/weir:1 --namespace shop \
//	    --selector app=cart --upstream aws_pricing=aws-pricing.shop.svc.cluster.local:80
func istioExample(t *testing.T) render.File {
	t.Helper()
	upstream, err := istio.ParseUpstream(QuickstartCluster + "=aws-pricing.shop.svc.cluster.local:80")
	if err != nil {
		t.Fatal(err)
	}
	o := istio.Defaults()
	o.Module, o.Namespace, o.Selector = "oci://registry.example.com/weir:1", "shop", map[string]string{"app": "cart"}
	o.Upstreams = []istio.Upstream{upstream}
	o.Policy = o.Named(policyJSON(t, "quickstart.policy.yaml"))
	o.Document = decode(t, o.Policy, nil)
	objects, warnings, err := istio.Objects(o)
	if err != nil || warnings != nil {
		t.Fatalf("got warnings %v, %v", warnings, err)
	}
	content, err := istio.YAML(objects)
	if err != nil {
		t.Fatal(err)
	}
	return render.File{Path: "envoy/examples/istio.yaml", Content: content}
}

func policyJSON(t *testing.T, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := policyfile.JSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	return asJSON
}

func decode(t *testing.T, asJSON []byte, environment map[string]string) *policy.Document {
	t.Helper()
	document, err := policy.Decode(asJSON, func(name string) (string, bool) {
		value, ok := environment[name]
		return value, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	return document
}

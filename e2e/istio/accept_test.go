package istio

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/weir-mesh/weir/e2e/repo"
)

// TestIstioAccepts: Istio's validation, which its webhook runs, accepts the golden files; objects of Kubernetes have no
// unknown field.
func TestIstioAccepts(t *testing.T) {
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "envoy", "istio", "testdata", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, filepath.Join(root, "envoy", "examples", "istio.yaml"))
	kinds := map[string]int{}
	for _, file := range files {
		if filepath.Base(file) == "shop.policy.yaml" {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range parsed(t, string(raw)) {
			kinds[c.GroupVersionKind.Kind]++
		}
		for document := range bytes.SplitSeq(raw, []byte("\n---\n")) {
			var object struct{ Kind string }
			if err := yaml.Unmarshal(document, &object); err != nil {
				t.Fatal(err)
			}
			known := map[string]any{"Deployment": &appsv1.Deployment{}, "Service": &corev1.Service{}, "ConfigMap": &corev1.ConfigMap{}}[object.Kind]
			if known == nil {
				continue
			}
			kinds[object.Kind]++
			if err := yaml.UnmarshalStrict(document, known); err != nil {
				t.Errorf("%s: %s: %v", file, object.Kind, err)
			}
		}
	}
	for _, kind := range []string{"WasmPlugin", "EnvoyFilter", "VirtualService", "DestinationRule", "ServiceEntry", "Deployment", "Service", "ConfigMap"} {
		if kinds[kind] == 0 {
			t.Errorf("got no %s in %v", kind, kinds)
		}
	}
}

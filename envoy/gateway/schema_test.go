package gateway

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/weir-mesh/weir/envoy/kube"
	"sigs.k8s.io/yaml"
)

// validate has the objects checked by the schemas of Envoy Gateway's CRDs (not by their x-kubernetes-validations, in CEL), and
// Envoy's messages in them by their own rules. A field that a schema does not know is a mistake: Kubernetes would drop it.
func validate(t *testing.T, objects []kube.Object) {
	t.Helper()
	for _, o := range objects {
		if o.APIVersion != apiVersion {
			continue
		}
		asJSON, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkSchema(t, o.Kind, asJSON); err != nil {
			t.Errorf("%s %s: %v", o.Kind, o.Metadata.Name, err)
		}
		if err := checkMessages(asJSON); err != nil {
			t.Errorf("%s %s: %v", o.Kind, o.Metadata.Name, err)
		}
	}
}

func checkSchema(t *testing.T, kind string, object []byte) error {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "crds", strings.ToLower(kind)+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	if err != nil {
		t.Fatal(err)
	}
	strict(tree)
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("crd.json", tree); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("crd.json")
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(string(object)))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(instance)
}

// strict forbids the fields that a schema does not name, where it names any.
func strict(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		if s["properties"] != nil && s["type"] == "object" {
			s["additionalProperties"] = false
		}
		for _, key := range slices.Collect(maps.Keys(s)) {
			strict(s[key])
		}
	case []any:
		for _, item := range s {
			strict(item)
		}
	}
}

// checkMessages reads the listeners and clusters that are added as a whole, and the bootstrap, as Envoy Gateway does.
func checkMessages(object []byte) error {
	var o struct {
		Spec struct {
			JSONPatches []struct {
				Type      string
				Operation struct {
					Path  *string
					Value json.RawMessage
				}
			}
			Bootstrap struct{ Value string }
		}
	}
	if err := json.Unmarshal(object, &o); err != nil {
		return err
	}
	for _, p := range o.Spec.JSONPatches {
		if p.Operation.Path == nil || *p.Operation.Path != "" {
			continue
		}
		var message interface {
			proto.Message
			ValidateAll() error
		} = &clusterv3.Cluster{}
		if p.Type == listenerType {
			message = &listenerv3.Listener{}
		}
		if err := protojson.Unmarshal(p.Operation.Value, message); err != nil {
			return err
		}
		if err := message.ValidateAll(); err != nil {
			return err
		}
	}
	if o.Spec.Bootstrap.Value == "" {
		return nil
	}
	asJSON, err := yaml.YAMLToJSON([]byte(o.Spec.Bootstrap.Value))
	if err != nil {
		return err
	}
	return protojson.Unmarshal(asJSON, &bootstrapv3.Bootstrap{})
}

// TestSchemaFindsMistakes: the trimmed schemas still refuse what the whole ones refuse.
func TestSchemaFindsMistakes(t *testing.T) {
	for object, want := range map[string]string{
		`{"kind": "EnvoyExtensionPolicy", "spec": {"wasm": [{"name": "weir"}]}}`:                                                          "missing property 'code'",
		`{"kind": "EnvoyExtensionPolicy", "spec": {"wasm": [{"code": {"type": "File"}}]}}`:                                                "value must be",
		`{"kind": "EnvoyExtensionPolicy", "spec": {"wasm": [{"code": {"type": "Image"}, "reload": true}]}}`:                               "'reload' not allowed",
		`{"kind": "EnvoyPatchPolicy", "spec": {"type": "JSONPatch", "targetRef": {"group": "g", "kind": "k"}}}`:                           "missing property 'name'",
		`{"kind": "EnvoyProxy", "spec": {"bootstrap": {"type": "Add"}}}`:                                                                  "value must be one of",
		`{"kind": "BackendTrafficPolicy", "spec": {"retry": {"retryOn": {"triggers": ["never"]}}}}`:                                       "value must be one of",
		`{"kind": "BackendTrafficPolicy", "spec": {"retry": {"perRetry": {"backOff": {"baseInterval": "1.5s"}}}}}`:                        "does not match pattern",
		`{"kind": "BackendTrafficPolicy", "spec": {"healthCheck": {"passive": {"maxEjectionPercent": 101}}, "retry": {"numRetries": 1}}}`: "maximum",
	} {
		var kind struct{ Kind string }
		if err := json.Unmarshal([]byte(object), &kind); err != nil {
			t.Fatal(err)
		}
		if err := checkSchema(t, kind.Kind, []byte(object)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", object, err, want)
		}
	}
}

package policy

import (
	"os"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/yaml"
)

// forms are the encodings in which the filter gets a document.
var forms = map[string]func(*testing.T, []byte) []byte{
	"json":   func(t *testing.T, document []byte) []byte { return toJSON(t, document) },
	"struct": func(t *testing.T, document []byte) []byte { return structBytes(t, toJSON(t, document)) },
}

// toJSON converts YAML to JSON, as Istio and Kubernetes do.
func toJSON(t fataler, document []byte) []byte {
	t.Helper()
	text, err := yaml.YAMLToJSON(document)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// structBytes converts JSON to a Struct, as Envoy does. The order of an object's fields is random. What is not an
// object can't be a Struct and stays JSON.
func structBytes(t fataler, text []byte) []byte {
	t.Helper()
	var v structpb.Value
	if err := protojson.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if v.GetStructValue() == nil {
		return text
	}
	raw, err := proto.Marshal(v.GetStructValue())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// fataler is what these helpers need of a test, a fuzz test or a rapid property.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

func noVariables(string) (string, bool) { return "", false }

// variables is a getenv with the given variables.
func variables(known map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := known[name]
		return v, ok
	}
}

// decodeYAML decodes a valid document.
func decodeYAML(t *testing.T, document string) *Document {
	t.Helper()
	doc, err := Decode(toJSON(t, []byte(document)), noVariables)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

package policy

import (
	"os"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/yaml"
)

// forms are the ways in which a document reaches the filter.
var forms = map[string]func(*testing.T, []byte) []byte{
	"json":   func(t *testing.T, document []byte) []byte { return toJSON(t, document) },
	"struct": func(t *testing.T, document []byte) []byte { return structBytes(t, toJSON(t, document)) },
}

// toJSON makes JSON of YAML, as Istio and Kubernetes do.
func toJSON(t fataler, document []byte) []byte {
	t.Helper()
	text, err := yaml.YAMLToJSON(document)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// structBytes makes a Struct of JSON, as Envoy does. An object's fields stand in their own order each time. What is
// no object can't be a Struct and stays JSON.
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

// fataler is what these need of a test, be it a fuzzer or a property of rapid's.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

func noVariables(string) (string, bool) { return "", false }

// variables is a getenv that knows the given names.
func variables(known map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := known[name]
		return v, ok
	}
}

// decodeYAML decodes a document that has no mistake.
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

package istio

import (
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// Object is one Kubernetes object.
type Object struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   Metadata `json:"metadata"`
	Spec       any      `json:"spec,omitempty"` // a message of istio.io/api, which writes its own JSON, or plain maps
	Data       any      `json:"data,omitempty"` // of a ConfigMap

	Comment string `json:"-"` // for the reader, without #
}

// Metadata is what an object is found by.
type Metadata struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// YAML writes the object with its comment before it.
func (o Object) YAML() ([]byte, error) {
	asJSON, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", o.Kind, o.Metadata.Name, err)
	}
	body, err := yaml.JSONToYAML(asJSON)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", o.Kind, o.Metadata.Name, err)
	}
	var text strings.Builder
	for line := range strings.Lines(o.Comment) {
		text.WriteString("# " + line)
	}
	if o.Comment != "" {
		text.WriteString("\n")
	}
	text.Write(body)
	return []byte(text.String()), nil
}

// object is one with the names and labels of all that a policy renders.
func (o Options) object(apiVersion, kind, suffix, comment string, spec any) Object {
	return Object{
		APIVersion: apiVersion, Kind: kind, Spec: spec, Comment: comment,
		Metadata: Metadata{Name: o.Name + suffix, Namespace: o.Namespace, Labels: map[string]string{
			"app.kubernetes.io/name": DefaultName, "app.kubernetes.io/instance": o.Name,
			"app.kubernetes.io/managed-by": "weir-render",
		}},
	}
}

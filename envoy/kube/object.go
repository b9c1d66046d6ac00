package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// DefaultName is that of the objects of a policy about which nothing is said.
const DefaultName = "weir"

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

// Labels are those of all that a policy renders.
func Labels(instance string) map[string]string {
	return map[string]string{
		"app.kubernetes.io/name": DefaultName, "app.kubernetes.io/instance": instance,
		"app.kubernetes.io/managed-by": "weir-render",
	}
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

// names are those of Kubernetes: RFC 1123 subdomains.
var names = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// CheckName returns why nothing in Kubernetes can have this name, or nil.
func CheckName(of, name string) error {
	switch {
	case len(name) > maxName:
		return fmt.Errorf("%s: %.40s… is too long for a name in Kubernetes: %d characters, at most %d are allowed", of, name, len(name), maxName)
	case !names.MatchString(name):
		return fmt.Errorf("%s: %q is no name in Kubernetes: use lower case letters, digits, dots and hyphens", of, name)
	}
	return nil
}

const maxName = 253

// CheckNames returns which objects would have names that nothing in Kubernetes can have, or nil. Parts of them come from the policy.
func CheckNames(objects []Object) error {
	var errs []error
	for _, o := range objects {
		errs = append(errs, CheckName("the name of the "+o.Kind, o.Metadata.Name))
	}
	return errors.Join(errs...)
}

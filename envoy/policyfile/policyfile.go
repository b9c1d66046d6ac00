// Package policyfile converts a policy document in a YAML or JSON file to the JSON that package policy decodes.
//
// YAML is read as Envoy reads it: every key is text. In YAML 1.1, which Kubernetes and its tools read, the key `on`
// means `true`; in a WasmPlugin it must be quoted.
package policyfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// JSON converts one YAML (or JSON) document to JSON. Duplicate keys, excessive aliases and a second document are
// errors, which name the line.
func JSON(raw []byte) ([]byte, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty")
	} else if err != nil {
		return nil, plain(err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file holds more than one YAML document")
	}
	keepText(&document)
	var tree any
	if err := document.Decode(&tree); err != nil {
		return nil, plain(err)
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("has no JSON form: %w", err) // .inf and .nan
	}
	return asJSON, nil
}

// keepText tags as strings what YAML would decode to a type that JSON does not have: keys such as 5 or true, and dates.
func keepText(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i < len(n.Content); i += 2 {
			if key := n.Content[i]; key.Kind == yaml.ScalarNode && key.ShortTag() != "!!merge" {
				key.Tag = "!!str"
			}
		}
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!timestamp" {
		n.Tag = "!!str"
	}
	for _, child := range n.Content {
		keepText(child)
	}
}

// plain removes the library's name from its errors and joins them to one line.
func plain(err error) error {
	var typeError *yaml.TypeError
	if errors.As(err, &typeError) {
		return errors.New(strings.Join(typeError.Errors, "; "))
	}
	return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
}

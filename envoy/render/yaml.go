package render

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

// YAML writes a message as Envoy reads it from a .yaml file: protobuf's JSON mapping with the fields' own names
// (snake_case), keys sorted, so that the same message gives the same bytes.
func YAML(m proto.Message) ([]byte, error) {
	asJSON, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("%s as JSON: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return yaml.JSONToYAML(asJSON)
}

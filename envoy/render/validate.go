package render

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
)

// anyTypeURL is a field that protorange visits only in an Any whose message type is not linked into this program.
const anyTypeURL = "google.protobuf.Any.type_url"

// validate runs the rules that Envoy's API has for each field (protoc-gen-validate) over a message and over every
// message packed into an Any inside it: the generated code stops at an Any, which is where an HTTP filter lives.
// The error has all violations, each after the path of the message that it was found in.
func validate(m proto.Message) error {
	var violations []error
	visit := func(p protopath.Values) error {
		last := p.Index(-1)
		switch last.Step.Kind() {
		case protopath.RootStep, protopath.AnyExpandStep:
			inner, ok := last.Value.Message().Interface().(interface{ ValidateAll() error })
			if !ok {
				return nil // a well-known type such as Struct has no rules
			}
			if err := inner.ValidateAll(); err != nil {
				violations = append(violations, fmt.Errorf("%s: %w", p.Path, err))
			}
		case protopath.FieldAccessStep:
			if last.Step.FieldDescriptor().FullName() == anyTypeURL {
				violations = append(violations, fmt.Errorf("%s: unknown type %s", p.Path, last.Value))
			}
		}
		return nil
	}
	err := protorange.Options{Stable: true}.Range(m.ProtoReflect(), visit, nil)
	return errors.Join(append(violations, err)...)
}

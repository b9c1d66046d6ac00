package policyfile

import (
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
)

// Node is one value of a document.
type Node struct {
	Line, Column int // from 1
	Kind         Kind
	Text         string // Text: the text; Number: its digits as JSON
	Number       float64
	Truth        bool
	Items        []*Node  // List
	Members      []Member // Object: each name once, the last of those that are written
	Twice        []Member // Object: those that a later one of the same name replaces
	// Block says that the text is a literal block (|), whose lines follow the node's and begin after Indent spaces.
	Block  bool
	Indent int
	// Fraction says that the text is a plain number that is not whole; Envoy passes it on as text.
	Fraction bool
}

// Kind is the type of a node.
type Kind uint8

// The kinds of nodes.
const (
	Null Kind = iota
	Boolean
	Number
	Text
	List
	Object
)

// Member is one entry of an object.
type Member struct {
	Name         string
	Line, Column int // of the name
	Value        *Node
}

// Get is the member of a name, nil if it is absent or n is no object.
func (n *Node) Get(name string) *Node {
	if n == nil {
		return nil
	}
	for _, m := range n.Members {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// Field is the member that Envoy reads as a field of a message: retryPolicy as retry_policy.
func (n *Node) Field(names ...string) *Node {
	for _, name := range names {
		if n == nil {
			return nil
		}
		var field *Node
		for _, m := range n.Members {
			if IsField(m.Name, name) {
				field = m.Value
			}
		}
		n = field
	}
	return n
}

// IsField reports whether a name that is written is that of a field of a message: Envoy reads it as it is in the proto file
// (retry_policy), and as JSON has it (retryPolicy).
func IsField(written, field string) bool {
	return written == field || strings.Contains(field, "_") && FieldOf(written) == field
}

// FieldOf is retry_policy for retryPolicy.
func FieldOf(written string) string {
	var field strings.Builder
	for _, c := range []byte(written) {
		if 'A' <= c && c <= 'Z' {
			field.WriteByte('_')
			c += 'a' - 'A'
		}
		field.WriteByte(c)
	}
	return field.String()
}

// At is the node below n at the names, nil if one is absent.
func (n *Node) At(names ...string) *Node {
	for _, name := range names {
		n = n.Get(name)
	}
	return n
}

// Struct is what Envoy hands to the filter. The error is for a document that is no object.
func (n *Node) Struct() (*structpb.Struct, error) {
	if n.Kind != Object && n.Kind != Null {
		return nil, fmt.Errorf("must be an object, got %s", n.Kind)
	}
	s := n.value().GetStructValue()
	if s == nil {
		s = &structpb.Struct{}
	}
	return s, nil
}

func (n *Node) value() *structpb.Value {
	switch n.Kind {
	case Boolean:
		return structpb.NewBoolValue(n.Truth)
	case Number:
		return structpb.NewNumberValue(n.Number)
	case Text:
		return structpb.NewStringValue(n.Text)
	case List:
		l := &structpb.ListValue{}
		for _, item := range n.Items {
			l.Values = append(l.Values, item.value())
		}
		return structpb.NewListValue(l)
	case Object:
		s := &structpb.Struct{Fields: map[string]*structpb.Value{}}
		for _, m := range n.Members {
			s.Fields[m.Name] = m.Value.value()
		}
		return structpb.NewStructValue(s)
	default:
		return structpb.NewNullValue()
	}
}

// tree is what encoding/json takes.
func (n *Node) tree() any {
	switch n.Kind {
	case Boolean:
		return n.Truth
	case Number:
		return json.Number(n.Text)
	case Text:
		if digits, ok := fraction(n.Text); ok && n.Fraction {
			return json.Number(digits)
		}
		return n.Text
	case List:
		l := make([]any, len(n.Items))
		for i, item := range n.Items {
			l[i] = item.tree()
		}
		return l
	case Object:
		o := make(map[string]any, len(n.Members))
		for _, m := range n.Members {
			o[m.Name] = m.Value.tree()
		}
		return o
	default:
		return nil
	}
}

// JSON is the document as Istio sends it, with sorted keys.
func (n *Node) JSON() ([]byte, error) { return json.Marshal(n.tree()) }

// String names a kind as a mistake does.
func (k Kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "a list", "an object"}[k]
}

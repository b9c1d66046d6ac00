package render

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weir-mesh/weir/envoy/policyfile"
)

// An envoy.yaml is changed as a tree of YAML nodes, which keep its comments, its order, and how each value is written: Envoy reads
// the result as it reads the file.

// readWhole reads an envoy.yaml as a document of one object. Aliases become what they stand for, so that a change at one place is
// none at another.
func readWhole(envoy []byte) (*yaml.Node, error) {
	read, err := policyfile.Read(envoy, policyfile.Envoy) // its errors have lines
	if err != nil {
		return nil, err
	}
	if read.Kind != policyfile.Object {
		return nil, errors.New("an envoy.yaml must be an object")
	}
	var document yaml.Node
	if err := yaml.Unmarshal(policyfile.Paired(envoy), &document); err != nil {
		return nil, err
	}
	if whole := document.Content[0]; hasAlias(whole) {
		document.Content[0] = clone(whole)
	}
	return &document, nil
}

func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, hasAlias)
}

// clone is a copy without anchors and aliases.
func clone(n *yaml.Node) *yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.AliasNode {
		return clone(n.Alias)
	}
	c := *n
	c.Anchor, c.Content = "", make([]*yaml.Node, len(n.Content))
	for i := range n.Content {
		c.Content[i] = clone(n.Content[i])
	}
	return &c
}

// write writes a document with lists indented, and lines ended, as they are in its file. The library writes some folded blocks (>) as
// others than they are, so what is written is read again: such a text becomes a literal block (|), else it is quoted.
func write(whole *yaml.Node, file []byte) ([]byte, error) {
	for {
		text, err := encode(whole)
		if err != nil {
			return nil, err
		}
		var read yaml.Node
		if err := yaml.Unmarshal(text, &read); err != nil {
			return nil, fmt.Errorf("the file with Weir is no YAML any more (%w): leave out --into, and paste the pieces", err)
		}
		restyled, err := restyle(whole, &read)
		switch {
		case err != nil:
			return nil, err
		case restyled:
			continue
		}
		if ends := bytes.Count(file, []byte("\r\n")); ends > 0 && ends == bytes.Count(file, []byte("\n")) {
			return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")), nil
		}
		return text, nil
	}
}

func encode(whole *yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(intoHeader)
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if !indentsLists(whole) {
		encoder.CompactSeqIndent()
	}
	err := errors.Join(encoder.Encode(whole), encoder.Close())
	return out.Bytes(), err
}

// restyle reports whether a text was read as another than was written, and has another style now. The error is for what no style helps.
func restyle(written, read *yaml.Node) (restyled bool, err error) {
	const quoted = yaml.DoubleQuotedStyle
	switch {
	case written.Kind != read.Kind || len(written.Content) != len(read.Content) || written.ShortTag() != read.ShortTag():
		err = at(written, "this can't be written as it is read: leave out --into, and paste the pieces")
	case written.Kind == yaml.ScalarNode && written.Value != read.Value && written.Style&yaml.FoldedStyle != 0:
		written.Style ^= yaml.FoldedStyle | yaml.LiteralStyle
		restyled = true
	case written.Kind == yaml.ScalarNode && written.Value != read.Value && written.Style&quoted == 0:
		written.Style = written.Style&yaml.TaggedStyle | quoted
		restyled = true
	case written.Kind == yaml.ScalarNode && written.Value != read.Value:
		err = at(written, "this text can't be written as it is read: leave out --into, and paste the pieces")
	}
	for i := 0; i < len(written.Content) && err == nil; i++ {
		var inner bool
		inner, err = restyle(written.Content[i], read.Content[i])
		restyled = restyled || inner
	}
	return restyled, err
}

// indentsLists reports whether the first list that is written in lines of its own begins further right than its name.
func indentsLists(n *yaml.Node) bool {
	var first func(n *yaml.Node) (indents, found bool)
	first = func(n *yaml.Node) (indents, found bool) {
		for i, child := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 1 && child.Kind == yaml.SequenceNode && child.Style&yaml.FlowStyle == 0 && n.Style&yaml.FlowStyle == 0 {
				return child.Column > n.Content[i-1].Column, true
			}
			if indents, found = first(child); found {
				return indents, true
			}
		}
		return false, false
	}
	indents, _ := first(n)
	return indents
}

// nodeOf is a message as a node.
func nodeOf(m proto.Message) (*yaml.Node, error) {
	text, err := YAML(m)
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	return document.Content[0], nil
}

// members are the names, as they are in the proto file, and values of an object. Of a name that is written twice the last one counts, as in Envoy.
func members(n *yaml.Node) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if name := policyfile.FieldOf(n.Content[i].Value); member(n, name) == n.Content[i+1] && !yield(name, n.Content[i+1]) {
				return
			}
		}
	}
}

// member is a value of an object, nil where it is absent or null.
func member(n *yaml.Node, name string) *yaml.Node {
	if i := indexOf(n, name); i >= 0 && n.Content[i].ShortTag() != "!!null" {
		return n.Content[i]
	}
	return nil
}

// indexOf is where a value of an object is in its Content, -1 where it is absent.
func indexOf(n *yaml.Node, name string) int {
	if n == nil || n.Kind != yaml.MappingNode {
		return -1
	}
	for i := len(n.Content) - 2; i >= 0; i -= 2 {
		if policyfile.IsField(n.Content[i].Value, name) {
			return i + 1
		}
	}
	return -1
}

func set(n *yaml.Node, name string, value *yaml.Node) {
	if i := indexOf(n, name); i >= 0 {
		n.Content[i] = value
		return
	}
	if n.Style&yaml.FlowStyle != 0 && len(n.Content) == 0 { // {}
		n.Style &^= yaml.FlowStyle
	}
	n.Content = append(n.Content, textNode(name), value)
}

// objectIn is the object with this name, which is made where there is none.
func objectIn(n *yaml.Node, name string) *yaml.Node {
	if o := member(n, name); o != nil && o.Kind == yaml.MappingNode {
		return o
	}
	o := objectNode()
	set(n, name, o)
	return o
}

func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

func insert(list *yaml.Node, i int, more ...*yaml.Node) {
	list.Content = slices.Insert(slices.Clone(list.Content), i, more...)
}

// appendIn appends a list to the one that is there. Another value is only set where there is none.
func appendIn(n *yaml.Node, name string, value *yaml.Node) {
	switch list := member(n, name); {
	case list == nil:
		set(n, name, value)
	case list.Kind == yaml.SequenceNode && value.Kind == yaml.SequenceNode:
		list.Content = append(slices.Clone(list.Content), value.Content...)
	}
}

// textIn is a text of an object, "" where it is absent.
func textIn(n *yaml.Node, name string) string {
	if v := member(n, name); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

func textNode(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}

func listNode(content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: content}
}

// objectNode is an object of names and values in turn.
func objectNode(content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: content}
}

package policyfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	kubernetes "sigs.k8s.io/yaml"
)

// Reading says who reads the YAML.
type Reading uint8

// The readings.
const (
	// Envoy is yaml-cpp, and what Envoy makes of its scalars (parseYamlNode in source/common/protobuf/yaml_utility.cc).
	Envoy Reading = iota
	// Kubernetes is sigs.k8s.io/yaml, YAML 1.1: yes is true, 1_000 is 1000, a plain key on is "true", << merges.
	Kubernetes
	// JSONText is Envoy's reading of a .json file: each number is one.
	JSONText
)

// Bounds, so that aliases of aliases can't grow without end.
const (
	maxNodes = 1 << 18
	maxDepth = 100
)

type resolver struct {
	as    Reading
	lines []string // of the file
	nodes int      // within aliases
	alias int      // how many aliases the node is in
}

func resolve(document *yaml.Node, lines []string, as Reading) (*Node, error) {
	r := &resolver{as: as, lines: lines}
	if len(document.Content) == 0 {
		return &Node{Line: 1, Column: 1}, nil
	}
	return r.node(document.Content[0], 0)
}

func (r *resolver) node(y *yaml.Node, depth int) (*Node, error) {
	n := &Node{Line: y.Line, Column: y.Column}
	if r.alias > 0 {
		r.nodes++
	}
	switch {
	case depth > maxDepth && r.alias == 0:
		return nil, &SyntaxError{y.Line, y.Column, fmt.Sprintf("is nested more than %d deep; write it flatter", maxDepth)}
	case depth > maxDepth || r.nodes > maxNodes:
		return nil, &SyntaxError{y.Line, y.Column, "is nested too deep, or grows too large by its aliases; write it without some of them"}
	}
	switch y.Kind {
	case yaml.AliasNode:
		r.alias++
		aliased, err := r.node(y.Alias, depth+1)
		r.alias--
		var mistake *SyntaxError
		if errors.As(err, &mistake) && r.alias == 0 { // the place of the alias, not of what it stands for
			mistake.Line, mistake.Column = y.Line, y.Column
		}
		if err != nil {
			return nil, err
		}
		aliased.Line, aliased.Column, aliased.Block = y.Line, y.Column, false
		return aliased, nil
	case yaml.SequenceNode:
		n.Kind = List
		for _, child := range y.Content {
			item, err := r.node(child, depth+1)
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, item)
		}
	case yaml.MappingNode:
		n.Kind = Object
		return n, r.members(n, y, depth)
	default:
		r.scalar(n, y)
	}
	return n, nil
}

func (r *resolver) members(n *Node, y *yaml.Node, depth int) error {
	var merged []Member
	for i := 0; i+1 < len(y.Content); i += 2 {
		key := y.Content[i]
		if key.Tag == "!ignore" && r.as == Envoy {
			continue
		}
		value, err := r.node(y.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		if r.as == Kubernetes && key.Value == "<<" && key.Style == 0 {
			merged = append(merged, value.Members...)
			for _, item := range value.Items {
				merged = append(merged, item.Members...)
			}
			continue
		}
		m := Member{Line: key.Line, Column: key.Column, Value: value}
		if m.Name, err = r.key(key, depth); err != nil {
			return err
		}
		if at := n.index(m.Name); at >= 0 {
			n.Twice = append(n.Twice, n.Members[at])
			n.Members = slices.Delete(n.Members, at, at+1)
		}
		n.Members = append(n.Members, m)
	}
	for _, m := range merged {
		if n.index(m.Name) < 0 {
			n.Members = append(n.Members, m)
		}
	}
	return nil
}

func (n *Node) index(name string) int {
	return slices.IndexFunc(n.Members, func(m Member) bool { return m.Name == name })
}

// key is the name of a member. yaml-cpp keeps a key's text, and gives "null" for each spelling of null.
func (r *resolver) key(key *yaml.Node, depth int) (string, error) {
	if key.Kind == yaml.AliasNode {
		key = key.Alias
	}
	if key.Kind != yaml.ScalarNode {
		return "", &SyntaxError{key.Line, key.Column, "a key must be text, not a list or an object"}
	}
	scalar, err := r.node(key, depth+1)
	switch {
	case err != nil:
		return "", err
	case scalar.Kind == Null:
		return "null", nil
	case r.as == Kubernetes && scalar.Kind == Boolean:
		return strconv.FormatBool(scalar.Truth), nil
	case r.as == Kubernetes && scalar.Kind == Number:
		return scalar.Text, nil
	}
	return key.Value, nil
}

// scalar reads a scalar. A tag but the lone ! does not count: !!str 5 is the number 5, and !!int "5" as well.
func (r *resolver) scalar(n *Node, y *yaml.Node) {
	n.Kind, n.Text = Text, y.Value
	tagged := y.Style&yaml.TaggedStyle != 0
	quoted := y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if y.Style&yaml.LiteralStyle != 0 {
		n.Block, n.Indent = true, r.indent(y.Line)
	}
	switch {
	case r.as == Kubernetes && !quoted:
		n.kubernetes(y.Value)
		return
	case r.loneTag(y) || quoted && !tagged:
		return
	case !tagged && isNull(y.Value):
		n.Kind, n.Text = Null, ""
		return
	}
	if truth, ok := boolean(y.Value); ok {
		n.Kind, n.Truth = Boolean, truth
		return
	}
	digits, fractional := fraction(y.Value)
	switch i, ok := integer(y.Value); {
	case r.as == JSONText && (ok || fractional):
		f, _ := strconv.ParseFloat(y.Value, 64)
		n.Kind, n.Number, n.Text = Number, f, digits
	case ok && i >= math.MinInt32 && i <= math.MaxInt32:
		n.Kind, n.Number, n.Text = Number, float64(i), strconv.FormatInt(i, 10)
	case ok:
		n.Text = strconv.FormatInt(i, 10)
	default:
		n.Fraction = fractional
	}
}

// loneTag reports whether the scalar has the tag !, which the library drops.
func (r *resolver) loneTag(y *yaml.Node) bool {
	if y.Line < 1 || y.Line > len(r.lines) || y.Column < 1 {
		return false
	}
	line := r.lines[y.Line-1]
	return y.Column <= len(line) && strings.HasPrefix(line[y.Column-1:], "! ")
}

// kubernetes reads a plain scalar by the library that kubectl and Istio use.
func (n *Node) kubernetes(plain string) {
	asJSON, err := kubernetes.YAMLToJSON([]byte(plain))
	if err != nil {
		return
	}
	var v any
	decoder := json.NewDecoder(strings.NewReader(string(asJSON)))
	decoder.UseNumber()
	if decoder.Decode(&v) != nil {
		return
	}
	switch v := v.(type) {
	case nil:
		n.Kind, n.Text = Null, ""
	case bool:
		n.Kind, n.Truth = Boolean, v
	case json.Number:
		n.Kind, n.Text = Number, v.String()
		n.Number, _ = v.Float64()
	}
}

func isNull(s string) bool { return slices.Contains([]string{"", "~", "null", "Null", "NULL"}, s) }

// boolean reads yaml-cpp's words, all lower, all upper or capitalized: oN is text.
func boolean(s string) (truth, ok bool) {
	lower := strings.ToLower(s)
	if s != lower && s != strings.ToUpper(s) && s != strings.ToUpper(s[:1])+lower[1:] {
		return false, false
	}
	switch lower {
	case "y", "yes", "true", "on":
		return true, true
	case "n", "no", "false", "off":
		return false, true
	}
	return false, false
}

// integer reads what C++ reads into an int64 with the base taken from the text: 010 is 8, 0x1F is 31, 08 is none.
func integer(s string) (int64, bool) {
	digits, sign := s, ""
	if s != "" && (s[0] == '-' || s[0] == '+') {
		digits, sign = s[1:], s[:1]
	}
	base := 10
	switch {
	case strings.HasPrefix(digits, "0x") || strings.HasPrefix(digits, "0X"):
		digits, base = digits[2:], 16
	case len(digits) > 1 && digits[0] == '0':
		digits, base = digits[1:], 8
	}
	if digits == "" || digits[0] == '-' || digits[0] == '+' {
		return 0, false
	}
	i, err := strconv.ParseInt(sign+digits, base, 64)
	return i, err == nil
}

// fraction reads a decimal number and returns it as JSON writes it.
func fraction(s string) (digits string, ok bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) || strings.Trim(s, "0123456789+-.eE") != "" {
		return "", false
	}
	asJSON, err := json.Marshal(f)
	return string(asJSON), err == nil
}

// indent is the number of spaces before the first line of text after a line.
func (r *resolver) indent(line int) int {
	for _, text := range r.lines[min(line, len(r.lines)):] {
		if trimmed := strings.TrimLeft(text, " "); trimmed != "" {
			return len(text) - len(trimmed)
		}
	}
	return 0
}

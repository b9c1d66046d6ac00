// Package policyfile reads the YAML or JSON of a policy document as Envoy's own loader does, and keeps for each value
// where it is written.
//
// Envoy's reading is neither YAML 1.1 nor 1.2: 010 is 8, 1_000 and 1.5 are text, yes is true, a quoted "5" is text, a
// merge key is a key like any other, and of a key that is written twice the last one counts. testdata/envoy_forms.txt
// is the table, which a test compares with this package and another one with a real Envoy.
package policyfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	goccy "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
	"go.yaml.in/yaml/v3"
)

// JSON converts one YAML (or JSON) document to the JSON of what the filter gets from Envoy, with sorted keys. A number
// that Envoy passes on as text, because it is not whole, is a number here too: the filter makes it one again.
func JSON(raw []byte) ([]byte, error) {
	root, err := Read(raw, Envoy)
	if err != nil {
		return nil, err
	}
	return json.Marshal(root.tree())
}

// SyntaxError is text that can't be read.
type SyntaxError struct {
	Line, Column int // 0: the text as a whole
	Text         string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return e.Text
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Text)
}

// Read reads one document.
func Read(raw []byte, as Reading) (*Node, error) {
	all, err := ReadAll(raw, func(*Node) Reading { return as })
	switch {
	case err != nil:
		return nil, err
	case len(all) > 1:
		return nil, &SyntaxError{all[1].Line, all[1].Column, "the file holds more than one YAML document; write one"}
	}
	return all[0], nil
}

// ReadAll reads all documents of a file. as chooses the reading by the document, which it sees in Envoy's.
func ReadAll(raw []byte, as func(*Node) Reading) ([]*Node, error) {
	raw = Paired(raw)
	var all []*Node
	lines := strings.Split(string(raw), "\n")
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		switch {
		case errors.Is(err, io.EOF) && len(all) == 0:
			return nil, &SyntaxError{Text: "the file is empty"}
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, syntaxError(err, raw)
		}
		root, err := resolve(&document, lines, Envoy)
		if err == nil && as(root) != Envoy {
			root, err = resolve(&document, lines, as(root))
		}
		if err != nil {
			return nil, err
		}
		all = append(all, root)
	}
}

// syntaxError finds where the mistake is by a second parser: the first one's lines are those of the enclosing list or
// object, or one too low, and it has no columns.
func syntaxError(err error, raw []byte) *SyntaxError {
	var second goccy.Error
	if _, parseErr := parser.ParseBytes(raw, 0); errors.As(parseErr, &second) && second.GetToken() != nil {
		at := second.GetToken().Position
		return &SyntaxError{at.Line, at.Column, "not YAML: " + second.GetMessage()}
	}
	e := &SyntaxError{Line: 1, Column: 1, Text: "not YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
	var anchor string
	if n, _ := fmt.Sscanf(e.Text, "not YAML: unknown anchor '%s", &anchor); n == 1 {
		anchor = strings.TrimSuffix(anchor, "'")
		before, _, _ := strings.Cut(string(raw), "*"+anchor)
		e.Line = strings.Count(before, "\n") + 1
		e.Column = len(before) - strings.LastIndexByte(before, '\n')
	}
	return e
}

package schema

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/weir-mesh/weir/policy"
)

// object is a JSON object.
type object = map[string]any

// Generate writes the schema of the keys that the decoder knows. Meanings are their descriptions, by path. It is of draft
// 7, the newest that the editors' YAML language server reads as a whole.
//
// A schema can't say everything that the decoder does: how two durations compare, the bounds of a duration with a unit,
// what a variable will be. It never refuses what the decoder accepts.
func Generate(keys []policy.Key, meanings map[string]string) ([]byte, error) {
	root := &node{}
	for _, k := range keys {
		root.add(strings.Split(k.Path, "."), k)
	}
	b := &builder{meanings: meanings}
	clusters := root.children["clusters"]
	cluster := b.fields(clusters.children["NAME"])
	clusters.children = nil
	schema := b.fields(root)
	properties := schema["properties"].(object)
	ofCluster := object{"$ref": "#/definitions/policy"}
	properties["default"] = object{"description": b.description(root.children["default"].key), "allOf": []any{ofCluster}}
	described := properties["clusters"].(object)
	described["propertyNames"] = clusterPattern
	described["additionalProperties"] = ofCluster
	named := properties["policies"].(object)
	named["propertyNames"] = object{"pattern": "^[A-Za-z0-9._-]{1,64}$"}
	named["additionalProperties"] = ofCluster
	schema["definitions"] = object{"policy": cluster, "variable": variable}
	schema["$schema"] = "http://json-schema.org/draft-07/schema#"
	schema["$id"] = "https://raw.githubusercontent.com/weir-mesh/weir/main/envoy/schema/policy.schema.json"
	schema["title"] = "Weir policy"
	addRules(schema, cluster)
	if b.err != nil {
		return nil, b.err
	}
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	err := encoder.Encode(schema)
	return []byte(text.String()), err
}

// node is a key with those below it.
type node struct {
	key      policy.Key
	children map[string]*node
}

func (n *node) add(path []string, k policy.Key) {
	if len(path) == 0 {
		n.key = k
		return
	}
	if n.children == nil {
		n.children = map[string]*node{}
	}
	if n.children[path[0]] == nil {
		n.children[path[0]] = &node{}
	}
	n.children[path[0]].add(path[1:], k)
}

type builder struct {
	meanings map[string]string
	err      error
}

// fields is an object with the keys below n. The keys of a list's entries are below a node of their own, `key[]`.
func (b *builder) fields(n *node) object {
	if byPath := n.children["PATH"]; byPath != nil {
		one := b.fields(byPath)
		return object{"type": "object", "propertyNames": pathPattern, "additionalProperties": one, "maxProperties": 100}
	}
	properties := object{}
	for name, child := range n.children {
		if !strings.HasSuffix(name, "[]") {
			properties[name] = b.property(child, n.children[name+"[]"])
		}
	}
	return object{"type": "object", "additionalProperties": false, "properties": properties}
}

func (b *builder) property(n, entries *node) object {
	var p object
	switch {
	case n.key.Type == "object":
		p = b.fields(n)
	case entries != nil:
		p = list(keyPart(b.fields(entries.children["client_ip"])), true)
		p["maxItems"] = 8
	default:
		var ok bool
		if p, ok = ofType(n.key); !ok && b.err == nil {
			b.err = fmt.Errorf("%s: no schema for the type %q, add it to ofType", n.key.Path, n.key.Type)
		}
	}
	p["description"] = b.description(n.key)
	if value, ok := defaultValue(n.key); ok {
		p["default"] = value
	}
	return p
}

var link = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

func (b *builder) description(k policy.Key) string {
	meaning, described := b.meanings[k.Path]
	if !described && b.err == nil {
		b.err = fmt.Errorf("%s: REFERENCE.md does not say what it means", k.Path)
	}
	return fmt.Sprintf("%s\n\n%s. Default: %s", link.ReplaceAllString(meaning, "$1"), k.Type, k.Default)
}

// defaultValue is a default that can be written in a document.
func defaultValue(k policy.Key) (any, bool) {
	text := k.Default
	if inner, isList := strings.CutPrefix(text, "["); isList {
		words := strings.FieldsFunc(strings.TrimSuffix(inner, "]"), func(r rune) bool { return r == ',' || r == ' ' })
		return append([]string{}, words...), true
	}
	_, isDuration := time.ParseDuration(text)
	switch kind, _, _ := strings.Cut(k.Type, ","); {
	case kind == "boolean", kind == "number", kind == "whole number":
		var value any
		err := json.Unmarshal([]byte(text), &value)
		return value, err == nil
	case kind == "duration":
		return text, isDuration == nil
	case strings.HasPrefix(text, `"`):
		value, err := strconv.Unquote(text)
		return value, err == nil
	case text == "{}":
		return object{}, true
	case words(k.Type) != nil:
		return text, true
	}
	return nil, false
}

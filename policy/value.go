package policy

import (
	"strconv"

	"github.com/weir-mesh/weir/policy/decimal"
	"github.com/weir-mesh/weir/policy/jsontext"
)

// kind is the type of a value, the same six in JSON and in google.protobuf.Struct.
type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	list
	object
)

// String names a kind as a mistake does: "must be a number, got a string".
func (k kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "a list", "an object"}[k]
}

// value is one node of a document, in either of its two forms.
type value struct {
	kind        kind
	truth       bool     // boolean
	number      float64  // number; infinite if it is beyond the range of float64
	text        string   // text; and a number's digits as they were written
	substituted bool     // text with a ${NAME} in it: it may be read as a number, a boolean or a duration
	unquoted    bool     // text that was a fractional number in YAML, see looksFractional: it may be read as a number
	broken      bool     // a mistake about it is already noted; from then on it counts as absent
	items       []value  // list
	members     []member // object, in the order of the document, each name once
}

// member is one entry of an object.
type member struct {
	name  string
	value value
}

// mayBeNumber reports whether a text may be read as a number.
func (v *value) mayBeNumber() bool { return v.substituted || v.unquoted }

// numberText writes a number as messages and JSON bodies show it.
func numberText(n float64) string { return string(decimal.Append(nil, n)) }

// appendJSON appends v as compact JSON, its keys in their order.
func appendJSON(to []byte, v *value) []byte {
	switch v.kind {
	case boolean:
		return strconv.AppendBool(to, v.truth)
	case number:
		return append(to, v.text...)
	case text:
		return jsontext.AppendString(to, v.text)
	case list:
		to = append(to, '[')
		for i := range v.items {
			if i > 0 {
				to = append(to, ',')
			}
			to = appendJSON(to, &v.items[i])
		}
		return append(to, ']')
	case object:
		to = append(to, '{')
		for i := range v.members {
			if i > 0 {
				to = append(to, ',')
			}
			to = jsontext.AppendString(to, v.members[i].name)
			to = appendJSON(append(to, ':'), &v.members[i].value)
		}
		return append(to, '}')
	default:
		return append(to, "null"...)
	}
}

// nameSet finds a name that an object has already. Small objects, which nearly all are, need no map.
type nameSet map[string]bool

// add reports whether name is none of members, to which the caller adds it then.
func (s *nameSet) add(name string, members []member) bool {
	const small = 16
	if *s == nil && len(members) < small {
		for i := range members {
			if members[i].name == name {
				return false
			}
		}
		return true
	}
	if *s == nil {
		*s = nameSet{}
		for i := range members {
			(*s)[members[i].name] = true
		}
	}
	if (*s)[name] {
		return false
	}
	(*s)[name] = true
	return true
}

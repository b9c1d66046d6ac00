package jsontext

import (
	"unicode/utf16"
	"unicode/utf8"
)

// Kind is the type of a value.
type Kind uint8

// The kinds of values.
const (
	Null Kind = iota
	False
	True
	Number
	String
	List
	Object
)

// Value is the beginning of a value: all of it, but for a list and an object.
type Value struct {
	Kind Kind
	Text string // of a string; and a number's digits, as they are written
}

// Reader takes the values of a text that Check accepts, in their order.
type Reader struct {
	scanner
	first bool // an object or a list has just begun
}

// NewReader reads a text in which Check found no mistake. Of any other the values mean nothing.
func NewReader(text []byte) *Reader { return &Reader{scanner: scanner{text: text}} }

// Value takes the next value, or the beginning of one: what is in a list or an object is taken by calls of More, Name and Value.
func (r *Reader) Value() Value {
	r.space()
	switch first := r.peek(); first {
	case '{', '[':
		r.at++
		r.first = true
		if first == '{' {
			return Value{Kind: Object}
		}
		return Value{Kind: List}
	case '"':
		return Value{String, r.string()}
	case 't':
		r.at += len("true")
		return Value{Kind: True}
	case 'f':
		r.at += len("false")
		return Value{Kind: False}
	case 'n':
		r.at += len("null")
		return Value{}
	}
	begin := r.at
	for b := r.peek(); digit(b) || b == '-' || b == '+' || b == '.' || b == 'e' || b == 'E'; b = r.peek() {
		r.at++
	}
	return Value{Number, string(r.text[min(begin, len(r.text)):min(r.at, len(r.text))])}
}

// More reports whether a list or an object has one more item or member. Where it has none, that ends it.
func (r *Reader) More() bool {
	r.space()
	first := r.first
	r.first = false
	switch r.peek() {
	case ']', '}':
		r.at++
		return false
	case ',':
		r.at++
		return r.at < len(r.text)
	}
	return first && r.at < len(r.text)
}

// Name takes a member's name.
func (r *Reader) Name() string {
	r.space()
	name := r.string()
	r.space()
	r.at++ // the colon
	return name
}

// string takes a string. Halves of surrogate pairs that stand alone become U+FFFD.
func (r *Reader) string() string {
	r.at++
	begin := r.at
	for r.at < len(r.text) && r.text[r.at] != '"' && r.text[r.at] != '\\' {
		r.at++
	}
	if r.at >= len(r.text) {
		return ""
	}
	if r.text[r.at] == '"' { // without an escape
		r.at++
		return string(r.text[begin : r.at-1])
	}
	out := append([]byte(nil), r.text[begin:r.at]...)
	for r.at < len(r.text) {
		b := r.text[r.at]
		r.at++
		switch b {
		case '"':
			return string(out)
		case '\\':
			out = r.unescape(out)
		default:
			out = append(out, b)
		}
	}
	return string(out)
}

// unescape appends the character that is written with a \, which was taken.
func (r *Reader) unescape(to []byte) []byte {
	b := r.peek()
	r.at++
	switch b {
	case 'b':
		return append(to, '\b')
	case 'f':
		return append(to, '\f')
	case 'n':
		return append(to, '\n')
	case 'r':
		return append(to, '\r')
	case 't':
		return append(to, '\t')
	case 'u':
		r.at-- // at the u
		c := r.unit()
		if !utf16.IsSurrogate(c) {
			return utf8.AppendRune(to, c)
		}
		after := r.at
		if r.peek() == '\\' {
			r.at++
			if r.peek() == 'u' {
				if c := utf16.DecodeRune(c, r.unit()); c != utf8.RuneError {
					return utf8.AppendRune(to, c)
				}
			}
		}
		r.at = after
		return utf8.AppendRune(to, utf8.RuneError)
	default: // " \ /
		return append(to, b)
	}
}

// unit takes u and four hexadecimal digits, a unit of UTF-16.
func (r *Reader) unit() (c rune) {
	for range 4 {
		r.at++
		n, _ := HexDigit(r.peek())
		c = c<<4 | n
	}
	r.at++
	return c
}

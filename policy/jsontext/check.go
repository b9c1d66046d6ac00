package jsontext

import "github.com/weir-mesh/weir/policy/visible"

// maxNesting is how many objects and lists may be open at once, as in encoding/json.
const maxNesting = 10_000

// SyntaxError is why a text is no JSON.
type SyntaxError struct {
	Text   string
	Offset int // how many bytes were read: the last of them is wrong; or all, where the text ends too early
}

func (e *SyntaxError) Error() string { return e.Text }

// Check returns what is wrong with a text that should be one JSON value, nil if nothing is. It does not look at UTF-8. It calls no
// function of its own again: a text nested 10,000 times must not use up a Wasm module's stack.
func Check(text []byte) *SyntaxError {
	c := checker{scanner: scanner{text: text}}
	for c.err == nil {
		c.space()
		if c.state == end {
			if c.at < len(text) {
				c.unexpected("after top-level value")
			}
			break
		}
		if c.at == len(text) {
			c.err = &SyntaxError{"unexpected end of JSON input", len(text)}
			break
		}
		c.step(text[c.at])
	}
	return c.err
}

// state is what may come next.
type state uint8

const (
	value state = iota
	valueOrEnd
	name
	nameOrEnd
	afterName
	afterMember
	afterItem
	end
)

type checker struct {
	scanner
	state state
	open  []byte // { and [ that are not closed yet
	err   *SyntaxError
}

// step reads what begins with this byte: a mark, or a whole literal, number or string.
func (c *checker) step(first byte) {
	switch c.state {
	case value, valueOrEnd:
		if first == ']' && c.state == valueOrEnd {
			c.close()
			return
		}
		c.value(first)
	case name, nameOrEnd:
		switch {
		case first == '}' && c.state == nameOrEnd:
			c.close()
		case first != '"':
			c.unexpected("looking for beginning of object key string")
		default:
			c.text()
			c.state = afterName
		}
	case afterName:
		c.mark(first, ':', value, ':', "after object key")
	case afterMember:
		c.mark(first, ',', name, '}', "after object key:value pair")
	case afterItem:
		c.mark(first, ',', value, ']', "after array element")
	}
}

// mark reads a mark that is followed by next, or the closing one (itself where there is none).
func (c *checker) mark(got, want byte, next state, closing byte, context string) {
	switch got {
	case want:
		c.at++
		c.state = next
	case closing:
		c.close()
	default:
		c.unexpected(context)
	}
}

func (c *checker) value(first byte) {
	switch first {
	case '{':
		c.nest(first, nameOrEnd)
		return
	case '[':
		c.nest(first, valueOrEnd)
		return
	case '"':
		c.text()
	case 't':
		c.word("true")
	case 'f':
		c.word("false")
	case 'n':
		c.word("null")
	default:
		if first != '-' && !digit(first) {
			c.unexpected("looking for beginning of value")
			return
		}
		c.number()
	}
	c.ended()
}

// nest begins an object or a list.
func (c *checker) nest(mark byte, next state) {
	if c.open = append(c.open, mark); len(c.open) > maxNesting {
		c.unexpected("exceeded max depth")
		return
	}
	c.at++
	c.state = next
}

// close ends the innermost object or list.
func (c *checker) close() {
	c.at++
	c.open = c.open[:len(c.open)-1]
	c.ended()
}

// ended follows each value.
func (c *checker) ended() {
	switch {
	case len(c.open) == 0:
		c.state = end
	case c.open[len(c.open)-1] == '{':
		c.state = afterMember
	default:
		c.state = afterItem
	}
}

// word reads true, false or null.
func (c *checker) word(w string) {
	for i := range len(w) {
		if c.peek() != w[i] {
			c.unexpected("in literal " + w + " (expecting '" + w[i:i+1] + "')")
			return
		}
		c.at++
	}
}

// number reads a number. It may end with the text.
func (c *checker) number() {
	if c.peek() == '-' {
		c.at++
	}
	switch {
	case c.peek() == '0':
		c.at++
	case !c.digits("in numeric literal"):
		return
	}
	if c.peek() == '.' {
		c.at++
		if !c.digits("after decimal point in numeric literal") {
			return
		}
	}
	if c.peek() == 'e' || c.peek() == 'E' {
		c.at++
		if c.peek() == '+' || c.peek() == '-' {
			c.at++
		}
		c.digits("in exponent of numeric literal")
	}
}

// digits reads one digit or more.
func (c *checker) digits(context string) bool {
	if !digit(c.peek()) {
		c.unexpected(context)
		return false
	}
	for digit(c.peek()) {
		c.at++
	}
	return true
}

// text reads a string.
func (c *checker) text() {
	for c.at++; c.at < len(c.scanner.text); c.at++ {
		switch b := c.scanner.text[c.at]; {
		case b == '"':
			c.at++
			return
		case b < 0x20:
			c.unexpected("in string literal")
			return
		case b == '\\':
			c.at++
			if !c.escape() {
				return
			}
		}
	}
	c.err = &SyntaxError{"unexpected end of JSON input", len(c.scanner.text)}
}

// escape looks at what follows a \, and stands on its last byte then.
func (c *checker) escape() bool {
	switch c.peek() {
	case 'b', 'f', 'n', 'r', 't', '\\', '/', '"':
		return true
	case 'u':
		for range 4 {
			c.at++
			if _, ok := HexDigit(c.peek()); !ok {
				c.unexpected("in \\u hexadecimal character escape")
				return false
			}
		}
		return true
	}
	c.unexpected("in string escape code")
	return false
}

// unexpected says that the byte at this place is wrong. Where the text ends inside a word, it names a space, as encoding/json does.
func (c *checker) unexpected(context string) {
	c.err = &SyntaxError{"invalid character " + quoteByte(c.peek()) + " " + context, min(c.at+1, len(c.scanner.text))}
}

// quoteByte puts a byte in single quotes; one of a longer character is shown as that of Latin-1.
func quoteByte(b byte) string {
	switch b {
	case '\'':
		return `'\''`
	case '"':
		return `'"'`
	}
	return "'" + string(visible.Append(nil, string(rune(b)), '\'')) + "'"
}

package bridge

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// errTooMany says that a pipeline is longer than it may be.
var errTooMany = errors.New("too many commands")

// decodeCommand reads `["COMMAND", "argument", …]`. Arguments are strings and numbers; a number is passed on as it is
// written, so 13 and 1e2 reach Redis as these characters. The first is a string.
//
// The arguments share the memory of body.
func decodeCommand(body string) ([]any, error) {
	d := decoder{text: body}
	arguments, err := d.command()
	if err != nil {
		return nil, err
	}
	return arguments, d.end()
}

// decodePipeline reads an array of at most limit commands. The error is errTooMany when there are more.
func decodePipeline(body string, limit int) ([][]any, error) {
	d := decoder{text: body}
	var commands [][]any
	err := d.array(func() error {
		if len(commands) == limit {
			return errTooMany
		}
		arguments, err := d.command()
		commands = append(commands, arguments)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(commands) == 0 {
		return nil, errors.New("an empty pipeline")
	}
	return commands, d.end()
}

// decoder reads JSON (RFC 8259), of which a command needs arrays, strings and numbers. encoding/json would hold each
// argument three times on the way to []any.
type decoder struct {
	text string
	at   int // bytes read
}

func (d *decoder) command() ([]any, error) {
	arguments := make([]any, 0, 16) // an EVALSHA of the filter has about ten
	err := d.array(func() error {
		argument, err := d.argument()
		arguments = append(arguments, argument)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(arguments) == 0 {
		return nil, errors.New("an empty command")
	}
	return arguments, nil
}

// array reads `[`, elements by read, and `]`.
func (d *decoder) array(read func() error) error {
	if d.next() != '[' {
		return d.unexpected("an array")
	}
	d.at++
	if d.next() == ']' {
		d.at++
		return nil
	}
	for {
		if err := read(); err != nil {
			return err
		}
		switch d.next() {
		case ',':
			d.at++
		case ']':
			d.at++
			return nil
		default:
			return d.unexpected("a comma or the array's end")
		}
	}
}

func (d *decoder) argument() (string, error) {
	switch c := d.next(); {
	case c == '"':
		return d.str()
	case c == '-' || '0' <= c && c <= '9':
		return d.number()
	default:
		return "", d.unexpected("a string or a number")
	}
}

// next skips white space and returns the byte that follows, 0 at the end. A NUL in the text is nowhere allowed either.
func (d *decoder) next() byte {
	for ; d.at < len(d.text); d.at++ {
		switch c := d.text[d.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (d *decoder) end() error {
	if d.next(); d.at < len(d.text) {
		return d.unexpected("the end")
	}
	return nil
}

func (d *decoder) unexpected(want string) error {
	return fmt.Errorf("malformed JSON at byte %d: want %s", d.at, want)
}

// str reads a string. One without escapes, which is nearly every one, is a part of the text.
func (d *decoder) str() (string, error) {
	d.at++ // the quote
	start := d.at
	for ; d.at < len(d.text); d.at++ {
		switch c := d.text[d.at]; {
		case c == '"':
			s := d.text[start:d.at]
			d.at++
			if !utf8.ValidString(s) {
				return "", fmt.Errorf("malformed JSON at byte %d: not UTF-8", start)
			}
			return s, nil
		case c == '\\':
			return d.escaped(start)
		case c < ' ':
			return "", d.unexpected("an escape for a control character")
		}
	}
	return "", d.unexpected("the string's end")
}

// escaped reads the rest of a string that started at start and has its first backslash here.
func (d *decoder) escaped(start int) (string, error) {
	var s strings.Builder
	s.WriteString(d.text[start:d.at])
	for d.at < len(d.text) {
		c := d.text[d.at]
		switch {
		case c == '"':
			d.at++
			if !utf8.ValidString(s.String()) {
				return "", fmt.Errorf("malformed JSON at byte %d: not UTF-8", start)
			}
			return s.String(), nil
		case c < ' ':
			return "", d.unexpected("an escape for a control character")
		case c != '\\':
			s.WriteByte(c)
			d.at++
		default:
			r, err := d.escape()
			if err != nil {
				return "", err
			}
			s.WriteRune(r)
		}
	}
	return "", d.unexpected("the string's end")
}

// escape reads a backslash and what follows it.
func (d *decoder) escape() (rune, error) {
	if d.at+1 == len(d.text) {
		return 0, d.unexpected("an escape")
	}
	c := d.text[d.at+1]
	if c == 'u' {
		return d.unicode()
	}
	i := strings.IndexByte(`"\/bfnrt`, c)
	if i < 0 {
		return 0, d.unexpected("an escape")
	}
	d.at += 2
	return rune("\"\\/\b\f\n\r\t"[i]), nil
}

// unicode reads \uXXXX, or two of them that are a surrogate pair. Half a pair stands for no character.
func (d *decoder) unicode() (rune, error) {
	first, ok := d.hex4(d.at)
	if !ok {
		return 0, d.unexpected("four hexadecimal digits")
	}
	if !utf16.IsSurrogate(first) {
		d.at += 6
		return first, nil
	}
	second, ok := d.hex4(d.at + 6)
	r := utf16.DecodeRune(first, second)
	if !ok || r == utf8.RuneError {
		return 0, d.unexpected("a surrogate pair")
	}
	d.at += 12
	return r, nil
}

// hex4 reads the \uXXXX at a place.
func (d *decoder) hex4(at int) (rune, bool) {
	if at+6 > len(d.text) || d.text[at] != '\\' || d.text[at+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(d.text[at+2 : at+6]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number reads a number and returns it as it is written.
func (d *decoder) number() (string, error) {
	start := d.at
	if d.text[d.at] == '-' {
		d.at++
	}
	if d.at < len(d.text) && d.text[d.at] == '0' {
		d.at++
	} else if !d.digits() {
		return "", d.unexpected("a digit")
	}
	if d.at < len(d.text) && d.text[d.at] == '.' {
		d.at++
		if !d.digits() {
			return "", d.unexpected("a digit")
		}
	}
	if d.at < len(d.text) && (d.text[d.at] == 'e' || d.text[d.at] == 'E') {
		d.at++
		if d.at < len(d.text) && (d.text[d.at] == '+' || d.text[d.at] == '-') {
			d.at++
		}
		if !d.digits() {
			return "", d.unexpected("a digit")
		}
	}
	return d.text[start:d.at], nil
}

// digits reads digits, and says whether there was one.
func (d *decoder) digits() bool {
	start := d.at
	for d.at < len(d.text) && '0' <= d.text[d.at] && d.text[d.at] <= '9' {
		d.at++
	}
	return d.at > start
}

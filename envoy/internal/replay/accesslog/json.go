package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner goes through the JSON of one line. encoding/json would allocate each value of it: 2 us a line more.
type scanner struct {
	text    []byte
	at      int
	scratch []byte // strings without their escapes, one after the other
	prefix  []byte // of the keys of an object in an object: `request.`
}

// deepest bounds objects in objects.
const deepest = 32

var errEnd = errors.New("the JSON ends early")

// object reads the values of a line's fields. Those of an object in it have keys with a dot: {"request": {"method": …}} is
// request.method. It returns scratch, to which the values may refer.
func object(text []byte, n *names, values [][]byte, ranks []uint8, scratch []byte) ([]byte, error) {
	s := scanner{text: text, scratch: scratch}
	err := s.object(n, values, ranks, 0)
	if err == nil {
		if s.space(); s.at < len(text) {
			err = fmt.Errorf("JSON: %q follows the object", text[s.at:min(s.at+20, len(text))])
		}
	}
	return s.scratch, err
}

func (s *scanner) space() {
	for s.at < len(s.text) && (s.text[s.at] == ' ' || s.text[s.at] == '\t' || s.text[s.at] == '\r' || s.text[s.at] == '\n') {
		s.at++
	}
}

// next is the next byte that is no space, 0 at the end.
func (s *scanner) next() byte {
	s.space()
	if s.at == len(s.text) {
		return 0
	}
	return s.text[s.at]
}

func (s *scanner) expect(c byte) error {
	switch got := s.next(); got {
	case c:
		s.at++
		return nil
	case 0:
		return errEnd
	default:
		return fmt.Errorf("JSON: want %q at byte %d, got %q", c, s.at+1, got)
	}
}

func (s *scanner) object(n *names, values [][]byte, ranks []uint8, depth int) error {
	if depth > deepest {
		return errors.New("JSON: objects in objects, more than 32 deep")
	}
	if err := s.expect('{'); err != nil {
		return err
	}
	if s.next() == '}' {
		s.at++
		return nil
	}
	for {
		if s.next() != '"' {
			return s.expect('"')
		}
		key, err := s.text1()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		if err := s.member(key, n, values, ranks, depth); err != nil {
			return err
		}
		if s.next() != ',' {
			return s.expect('}')
		}
		s.at++
	}
}

func (s *scanner) member(key []byte, n *names, values [][]byte, ranks []uint8, depth int) error {
	if s.next() == '{' {
		prefix := len(s.prefix)
		s.prefix = append(append(s.prefix, key...), '.')
		err := s.object(n, values, ranks, depth+1)
		s.prefix = s.prefix[:prefix]
		return err
	}
	value, err := s.value(depth)
	if err != nil || n == nil { // an object in an array
		return err
	}
	if len(s.prefix) > 0 {
		key = append(s.prefix, key...) // behind the prefix, where the next key is written again
	}
	p := n.find(key)
	if p.rank > ranks[p.field] && len(value) > 0 {
		values[p.field], ranks[p.field] = value, p.rank
	}
	return nil
}

// value reads a string, a number or a word; null and `-`, which Envoy writes for what there is not, are nil. An array is none of
// a field's, and skipped.
func (s *scanner) value(depth int) ([]byte, error) {
	switch c := s.next(); c {
	case '"':
		text, err := s.text1()
		if len(text) == 1 && text[0] == '-' {
			text = nil
		}
		return text, err
	case '[':
		return nil, s.skipArray(depth)
	case '{':
		return nil, s.object(nil, nil, nil, depth+1)
	default:
		start := s.at
		for s.at < len(s.text) && bytes.IndexByte([]byte(",}] \t\r\n"), s.text[s.at]) < 0 {
			s.at++
		}
		word := s.text[start:s.at]
		switch {
		case len(word) == 0 && s.at == len(s.text):
			return nil, errEnd
		case string(word) == "null":
			return nil, nil
		case string(word) == "true", string(word) == "false", isNumber(word):
			return word, nil
		}
		return nil, fmt.Errorf("JSON: no value at byte %d: %q", start+1, s.text[start:min(start+20, len(s.text))])
	}
}

func isNumber(word []byte) bool {
	if len(word) == 0 || word[0] != '-' && (word[0] < '0' || word[0] > '9') {
		return false
	}
	for _, c := range word[1:] {
		if (c < '0' || c > '9') && c != '.' && c != 'e' && c != 'E' && c != '+' && c != '-' {
			return false
		}
	}
	return true
}

func (s *scanner) skipArray(depth int) error {
	if depth > deepest {
		return errors.New("JSON: arrays in arrays, more than 32 deep")
	}
	s.at++
	if s.next() == ']' {
		s.at++
		return nil
	}
	for {
		if _, err := s.value(depth + 1); err != nil {
			return err
		}
		if s.next() != ',' {
			return s.expect(']')
		}
		s.at++
	}
}

// text1 reads one string: a part of the line, or of scratch where it has escapes.
func (s *scanner) text1() ([]byte, error) {
	s.at++
	start := s.at
	end := bytes.IndexByte(s.text[start:], '"')
	if end < 0 {
		return nil, errEnd
	}
	if plain := s.text[start : start+end]; bytes.IndexByte(plain, '\\') < 0 {
		s.at = start + end + 1
		return plain, nil
	}
	begin := len(s.scratch)
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case '"':
			s.at++
			return s.scratch[begin:len(s.scratch):len(s.scratch)], nil
		case '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		default:
			s.scratch = append(s.scratch, c)
			s.at++
		}
	}
	return nil, errEnd
}

func (s *scanner) escape() error {
	if s.at+1 >= len(s.text) {
		return errEnd
	}
	c := s.text[s.at+1]
	s.at += 2
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		first, err := s.unicode()
		if err != nil {
			return err
		}
		if utf16.IsSurrogate(first) && bytes.HasPrefix(s.text[s.at:], []byte(`\u`)) {
			s.at += 2
			second, err := s.unicode()
			if err != nil {
				return err
			}
			first = utf16.DecodeRune(first, second)
		}
		s.scratch = utf8.AppendRune(s.scratch, first)
		return nil
	default:
		return fmt.Errorf("JSON: %q at byte %d is no escape", s.text[s.at-2:s.at], s.at-1)
	}
	s.scratch = append(s.scratch, c)
	return nil
}

func (s *scanner) unicode() (rune, error) {
	if s.at+4 > len(s.text) {
		return 0, errEnd
	}
	n, err := strconv.ParseUint(string(s.text[s.at:s.at+4]), 16, 16)
	if err != nil {
		return 0, fmt.Errorf("JSON: %q at byte %d is no escape", s.text[s.at-2:s.at+4], s.at-1)
	}
	s.at += 4
	return rune(n), nil
}

package jsontext

// scanner is a place in a text.
type scanner struct {
	text []byte
	at   int
}

func (s *scanner) space() {
	for s.at < len(s.text) && (s.text[s.at] == ' ' || s.text[s.at] == '\n' || s.text[s.at] == '\r' || s.text[s.at] == '\t') {
		s.at++
	}
}

// peek is the next byte. After the last it is a space, which nothing that peeks takes.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return ' '
}

func digit(b byte) bool { return b >= '0' && b <= '9' }

// HexDigit is the number that a hexadecimal digit stands for.
func HexDigit(b byte) (n rune, ok bool) {
	switch {
	case digit(b):
		return rune(b - '0'), true
	case b >= 'a' && b <= 'f':
		return rune(b-'a') + 10, true
	case b >= 'A' && b <= 'F':
		return rune(b-'A') + 10, true
	}
	return 0, false
}

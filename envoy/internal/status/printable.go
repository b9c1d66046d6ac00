package status

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable is a text of somebody else's that a terminal may show: control characters, bytes that are no UTF-8 and
// what changes the direction of writing stand as escapes. "a\x1b[2Jb" becomes `a\x1b[2Jb`, six visible characters.
func Printable(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if unprintable(r) || r == utf8.RuneError && size == 1 {
			quoted := strconv.QuoteToASCII(s[:size])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

// unprintable are control characters (Cc), formats such as U+202E, which turns the direction (Cf), line separators (Zl,
// Zp), and spaces that are not U+0020.
func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// JSON writes a server's JSON so that it means the same and is safe to show: indented, or on one line; what is not
// printable inside its strings as \u escapes.
func JSON(raw []byte, indented bool) ([]byte, error) {
	var b bytes.Buffer
	err := json.Compact(&b, raw)
	if indented && err == nil {
		b.Reset()
		err = json.Indent(&b, raw, "", "  ")
	}
	if err != nil {
		return nil, err
	}
	// Outside strings there is nothing but ASCII now, and of control characters only the indentation's line breaks.
	safe := make([]byte, 0, b.Len()+1)
	for text := bytes.TrimSpace(b.Bytes()); len(text) > 0; {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == '\n', r != utf8.RuneError && !unprintable(r):
			safe = append(safe, text[:size]...)
		case r > 0xffff: // as two surrogates, RFC 8259 section 7
			r -= 0x10000
			safe = fmt.Appendf(safe, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			safe = fmt.Appendf(safe, `\u%04x`, r)
		}
		text = text[size:]
	}
	return append(safe, '\n'), nil
}

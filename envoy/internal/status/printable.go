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

// Printable escapes what a terminal must not get from a server: control characters, bytes that are not UTF-8, and
// characters that change the direction of writing. "a\x1b[2Jb" becomes `a\x1b[2Jb`.
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

// unprintable are control characters (Cc), formats such as U+202E, which turns the direction (Cf), line separators
// (Zl, Zp), and spaces that are not U+0020.
func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// JSON formats a server's JSON for a terminal, indented or on one line. Its meaning stays the same; characters in
// strings that Printable would escape become \u escapes.
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
	// Outside strings there is only printable ASCII now, and the line breaks of the indentation.
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

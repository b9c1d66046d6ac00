package jsontext

import "unicode/utf8"

// AppendString appends s in quotes. <, > and & stay as they are: the text is no part of an HTML page. U+2028 and U+2029, which end
// lines in JavaScript, are escaped, and what is no UTF-8 becomes U+FFFD.
func AppendString(to []byte, s string) []byte { return appendString(to, s, false) }

func appendString(to []byte, s string, html bool) []byte {
	const hex = "0123456789abcdef"
	to = append(to, '"')
	for at := 0; at < len(s); {
		b := s[at]
		if b < utf8.RuneSelf {
			at++
			switch {
			case b == '"' || b == '\\':
				to = append(to, '\\', b)
			case b >= 0x20 && (!html || b != '<' && b != '>' && b != '&'):
				to = append(to, b)
			case b == '\b':
				to = append(to, `\b`...)
			case b == '\f':
				to = append(to, `\f`...)
			case b == '\n':
				to = append(to, `\n`...)
			case b == '\r':
				to = append(to, `\r`...)
			case b == '\t':
				to = append(to, `\t`...)
			default:
				to = append(to, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
			}
			continue
		}
		c, size := utf8.DecodeRuneInString(s[at:])
		switch {
		case c == utf8.RuneError && size == 1:
			to = append(to, `\ufffd`...)
		case c == '\u2028':
			to = append(to, `\u2028`...)
		case c == '\u2029':
			to = append(to, `\u2029`...)
		default:
			to = append(to, s[at:at+size]...)
		}
		at += size
	}
	return append(to, '"')
}

// Package visible shows text from outside in a message: what a reader can't see, or what would write a line of its own, is escaped.
// strconv.Quote and its tables of what is printable are 5 KB of the module.
package visible

import "unicode/utf8"

// Rune reports whether a character may stand in a message as it is. Not those that control a terminal, separate lines, turn the
// direction of writing or take no room, so that one text could be made to look like another; nor what no font has: private
// characters, and what UTF-8 can't have.
func Rune(r rune) bool {
	switch {
	case r < 0x7f:
		return r >= ' '
	case r < 0xa0:
		return false
	case r < 0x61c:
		return r != 0xad && r != 0xa0 // soft hyphen, no-break space
	case r < 0x2000:
		return r != 0x61c && r != 0x180e && r != 0x1680
	case r < 0x3000:
		return r > 0x200f && r < 0x2028 || r > 0x202f && r < 0x205f || r > 0x206f
	case r < 0xd800:
		return r != 0x3000 // a space as wide as a letter
	case r < 0x10000:
		return r >= 0xf900 && r < 0xfe00 || r > 0xfe0f && r != 0xfeff && r < 0xfff0 || r == utf8.RuneError
	}
	return r < 0xe0000
}

// Quote is s in double quotes, with \n, \t, \", \\ and others as \x1b or \u202e, as Go writes strings.
func Quote(s string) string { return string(append(Append([]byte{'"'}, s, '"'), '"')) }

// Append appends s without quotes, in which quote, if it is not 0, is escaped, and so is the backslash then.
func Append(to []byte, s string, quote byte) []byte {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			to = hexadecimal(append(to, `\x`...), rune(s[i]), 2)
		case quote != 0 && (r == rune(quote) || r == '\\'):
			to = append(to, '\\', byte(r))
		case Rune(r):
			to = append(to, s[i:i+size]...)
		case 7 <= r && r <= 13:
			to = append(to, '\\', "abtnvfr"[r-7])
		case r < 0x80:
			to = hexadecimal(append(to, `\x`...), r, 2)
		case r < 0x10000:
			to = hexadecimal(append(to, `\u`...), r, 4)
		default:
			to = hexadecimal(append(to, `\U`...), r, 8)
		}
		i += size
	}
	return to
}

func hexadecimal(to []byte, r rune, digits int) []byte {
	for digits--; digits >= 0; digits-- {
		to = append(to, "0123456789abcdef"[r>>(4*digits)&15])
	}
	return to
}

// Package visible shows text from outside in a message: what a reader can't see, or what would write a line of its own, is escaped.
// strconv.Quote and its tables of what is printable are 5 KB of the module.
package visible

import "unicode/utf8"

// Rune reports whether a character may stand in a message as it is. Not those that control a terminal, separate lines, turn the
// direction of writing or take no room, so that one text could be made to look like another; nor what no font has: private
// characters, and what UTF-8 can't have.
func Rune(r rune) bool {
	if r < 0x7f {
		return r >= ' '
	}
	for i := range hidden {
		if r <= hidden[i].to {
			return r < hidden[i].from
		}
	}
	return false
}

// hidden are the others beyond ASCII: controls, spaces that are not U+0020, and what Unicode calls default ignorable, such as the fillers
// of Hangul, which are letters and show nothing.
var hidden = [...]struct{ from, to rune }{
	{0x7f, 0xa0},
	{0xad, 0xad},
	{0x34f, 0x34f},
	{0x61c, 0x61c},
	{0x115f, 0x1160},
	{0x1680, 0x1680},
	{0x17b4, 0x17b5},
	{0x180b, 0x180f},
	{0x2000, 0x200f},
	{0x2028, 0x202f},
	{0x205f, 0x206f},
	{0x3000, 0x3000},
	{0x3164, 0x3164},
	{0xd800, 0xf8ff},
	{0xfe00, 0xfe0f},
	{0xfeff, 0xfeff},
	{0xffa0, 0xffa0},
	{0xfff0, 0xfffc}, // not U+FFFD, which stands for what is no UTF-8
	{0xfffe, 0xffff},
	{0x1bca0, 0x1bca3},
	{0x1d173, 0x1d17a},
	{0xe0000, 0x10ffff},
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

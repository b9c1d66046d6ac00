// Package ascii changes and compares letters as HTTP does: A to Z and a to z alone (RFC 9110, section 5.1), and looks for bytes of a
// set. Package strings knows the case of all letters, by tables of 7 KB, and takes the Kelvin sign for a k; its sets are of
// characters, 3 KB.
package ascii

// Lower is s with its letters in lower case.
func Lower(s string) string {
	for i := range len(s) {
		if upper(s[i]) {
			b := []byte(s)
			for ; i < len(b); i++ {
				b[i] = lower(b[i])
			}
			return string(b)
		}
	}
	return s
}

// HasLower reports whether s has a letter in lower case.
func HasLower(s string) bool {
	for i := range len(s) {
		if 'a' <= s[i] && s[i] <= 'z' {
			return true
		}
	}
	return false
}

// EqualFold reports whether a and b are the same but for the case of letters.
func EqualFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// IndexAny is the place of the first byte of s that is in the set, -1 where there is none.
func IndexAny(s, set string) int {
	for i := range len(s) {
		if in(s[i], set) {
			return i
		}
	}
	return -1
}

// TrimLeft is s without the bytes of the set at its beginning.
func TrimLeft(s, set string) string {
	for s != "" && in(s[0], set) {
		s = s[1:]
	}
	return s
}

// Trim is s without the bytes of the set at its beginning and its end.
func Trim(s, set string) string {
	s = TrimLeft(s, set)
	for s != "" && in(s[len(s)-1], set) {
		s = s[:len(s)-1]
	}
	return s
}

// Space is the white space of JSON, for Trim.
const Space = " \t\r\n"

func in(c byte, set string) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}

func upper(c byte) bool { return 'A' <= c && c <= 'Z' }

func lower(c byte) byte {
	if upper(c) {
		c += 'a' - 'A'
	}
	return c
}

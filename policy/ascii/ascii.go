// Package ascii changes and compares letters as HTTP does: A to Z and a to z alone (RFC 9110, section 5.1). Package strings knows the
// case of all letters, by tables of 7 KB, and takes the Kelvin sign for a k.
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

func upper(c byte) bool { return 'A' <= c && c <= 'Z' }

func lower(c byte) byte {
	if upper(c) {
		c += 'a' - 'A'
	}
	return c
}

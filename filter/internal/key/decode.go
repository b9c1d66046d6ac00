package key

// appendDecoded appends s with its %XX decoded: to an upstream %61 and a are the same, so they are one key, or each
// spelling would have a limit of its own. In a query + is a space, too. Anything that is not %XX stays as it is.
func appendDecoded(b []byte, s string, plus bool) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			if high, low := unhex(s[i+1]), unhex(s[i+2]); high < 16 && low < 16 {
				b = append(b, high<<4|low)
				i += 2
				continue
			}
		}
		if c == '+' && plus {
			c = ' '
		}
		b = append(b, c)
	}
	return b
}

// unhex is the value of a hexadecimal digit, 16 for any other byte.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	default:
		return 16
	}
}

package header

// IsPlainPath reports whether :path is of the characters of RFC 3986 (section 3.3 and 3.4), with whole percent-encodings.
// A server may refuse any other as malformed: `/%zz`, `/a"b`, `a`.
func IsPlainPath(path string) bool {
	if path == "" || path[0] != '/' {
		return path == "*"
	}
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '%':
			if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
				return false
			}
		case c <= ' ', c >= 0x7f, c == '"', c == '#', c == '<', c == '>', c == '[', c == '\\', c == ']', c == '^', c == '`',
			c == '{', c == '|', c == '}':
			return false
		}
	}
	return true
}

// IsPlainAuthority reports whether :authority is of letters, digits and `-._~:[]`, as names and addresses with a port are.
func IsPlainAuthority(authority string) bool {
	for i := range len(authority) {
		switch c := authority[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return authority != ""
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

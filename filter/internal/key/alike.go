package key

// alike reports whether an upstream may read a name as another, want:
//
//	x_api_key, x.api.key     x-api-key  CGI and all modelled on it: one variable (RFC 3875, section 4.1.18)
//	api.key, "api key"       api_key    PHP's names of variables
//	user[], user[0], [user]  user       PHP, Rack, qs
//	USER                     user       ASP.NET
//	" user", "user\x00x"     user       whoever trims, or ends a text at NUL
//
// Letters and digits are compared without case, all other ASCII characters are the same. Name is decoded.
func alike[T string | []byte](name T, want string) bool {
	for len(name) > 0 && name[0] != want[0] && (name[0] == '[' || name[0] == '=' || blank(name[0], want[0])) {
		name = name[1:]
	}
	if len(name) < len(want) {
		return false
	}
	for i := range len(want) {
		if fold(name[i]) != fold(want[i]) {
			return false
		}
	}
	if len(name) == len(want) {
		return true
	}
	next := name[len(want)]
	return next == '[' || next == ']' || blank(next, want[len(want)-1])
}

// blank reports whether c, beside a character of a name, may be trimmed: spaces and control characters. In UTF-8 the
// spaces of Unicode begin and end with a byte above 0x7f, so beside an ASCII character all those count.
func blank(c, beside byte) bool { return c <= ' ' || c == 0x7f || c > 0x7f && beside < 0x80 }

// fold maps the characters that alike compares as equal to one of them.
func fold(c byte) byte {
	switch c = lower(c); {
	case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c >= 0x80:
		return c
	default:
		return '_'
	}
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

package fallback

import (
	"strings"

	"github.com/weir-mesh/weir/policy/ascii"
)

// directive is one member of a cache-control header. The argument is without its quotes.
type directive struct {
	name, argument string
}

// is compares the name; want is in lower case.
func (d *directive) is(want string) bool { return ascii.EqualFold(d.name, want) }

// seconds reads the argument as delta-seconds (RFC 9111, section 1.2.2).
func (d *directive) seconds() (n uint32, ok bool) { return readSeconds(d.argument) }

// nextDirective splits the first directive off a cache-control value (RFC 9111, section 5.2): a token, or a token, "="
// and a token or a quoted string. Empty members are skipped; at the end it returns one without a name. Spaces around
// "=" are tolerated. Anything else is not ok: another parser might find a `private` in it that this one misses.
func nextDirective(s string) (d directive, rest string, ok bool) {
	s = ascii.TrimLeft(s, " \t,")
	if s == "" {
		return directive{}, "", true
	}
	n := tokenLength(s)
	if n == 0 {
		return directive{}, "", false
	}
	d.name, s = s[:n], ascii.TrimLeft(s[n:], " \t")
	if s != "" && s[0] == '=' {
		s = ascii.TrimLeft(s[1:], " \t")
		if s != "" && s[0] == '"' {
			n = quotedLength(s)
			if n == 0 {
				return directive{}, "", false
			}
			d.argument = s[1 : n-1]
		} else {
			n = tokenLength(s)
			d.argument = s[:n]
		}
		s = ascii.TrimLeft(s[n:], " \t")
	}
	if s != "" && s[0] != ',' {
		return directive{}, "", false
	}
	return d, s, true
}

// tokenLength is the length of the token at the start of s (RFC 9110, section 5.6.2).
func tokenLength(s string) (n int) {
	for n < len(s) && isTokenByte(s[n]) {
		n++
	}
	return n
}

func isTokenByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c > ' ' && strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// quotedLength is the length of the quoted string at the start of s, quotes included (RFC 9110, section 5.6.4); 0 if it
// does not end.
func quotedLength(s string) int {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			i++
		case c < ' ' && c != '\t', c == 0x7f:
			return 0
		}
	}
	return 0
}

// readSeconds reads a whole number of seconds, at most 2^31.
func readSeconds(s string) (n uint32, ok bool) {
	if s == "" {
		return 0, false
	}
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = uint32(min(uint64(n)*10+uint64(c-'0'), maxSeconds))
	}
	return n, true
}

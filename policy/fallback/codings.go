package fallback

import (
	"strings"

	"github.com/weir-mesh/weir/policy/ascii"
)

// Codings is a set of content codings (RFC 9110, section 8.4.1).
type Codings uint8

// The codings that a stored answer may have.
const (
	Identity Codings = 1 << iota // none
	Gzip
	Deflate
	Brotli
	Zstd
	Compress

	allCodings = Compress<<1 - 1
)

// CodingOf reads a content-encoding of one coding, in any case. Several codings are not known.
func CodingOf(name string) (c Codings, known bool) {
	name = trim(name)
	for i := range codingNames {
		if ascii.EqualFold(name, codingNames[i].name) {
			return codingNames[i].coding, true
		}
	}
	return 0, false
}

var codingNames = [...]struct {
	name   string
	coding Codings
}{
	{"gzip", Gzip},
	{"br", Brotli},
	{"deflate", Deflate},
	{"zstd", Zstd},
	{"identity", Identity},
	{"x-gzip", Gzip}, // RFC 9110, section 8.4.1.3
	{"compress", Compress},
	{"x-compress", Compress},
}

// acceptance collects the elements of a request's accept-encoding headers (RFC 9110, section 12.5.3). A coding that one
// element refuses is not accepted by another.
type acceptance struct {
	accepted, refused Codings
	any, none         bool // *, and *;q=0
}

// add reads one header's value. Malformed elements and unknown codings are ignored.
func (a *acceptance) add(value string) {
	for value != "" {
		var element string
		element, value, _ = strings.Cut(value, ",")
		name, weight, weighted := strings.Cut(element, ";")
		wanted := true
		if weighted {
			var ok bool
			if wanted, ok = readWeight(weight); !ok {
				continue
			}
		}
		name = trim(name)
		if name == "*" {
			a.any, a.none = a.any || wanted, a.none || !wanted
			continue
		}
		coding, _ := CodingOf(name)
		if wanted {
			a.accepted |= coding
		} else {
			a.refused |= coding
		}
	}
}

// codings is the result. By the RFC a client without the header accepts any coding; here it gets none, because many
// such clients can't decode any. Identity is accepted unless it is refused, by name or by *;q=0.
func (a *acceptance) codings() Codings {
	c := a.accepted
	switch {
	case a.none:
	case a.any:
		c = allCodings
	default:
		c |= Identity
	}
	return c &^ a.refused
}

// readWeight reads q=0.5 (RFC 9110, section 12.4.2) and reports whether it is more than 0. More than three digits are
// tolerated.
func readWeight(s string) (wanted, ok bool) {
	s = trim(s)
	if len(s) < 3 || s[0]|0x20 != 'q' || s[1] != '=' || (s[2] != '0' && s[2] != '1') {
		return false, false
	}
	wanted = s[2] == '1'
	if len(s) == 3 {
		return wanted, true
	}
	if s[3] != '.' {
		return false, false
	}
	for i := 4; i < len(s); i++ {
		switch c := s[i]; {
		case c < '0' || c > '9' || (s[2] == '1' && c != '0'):
			return false, false
		case c != '0':
			wanted = true
		}
	}
	return wanted, true
}

// trim removes spaces and tabs (OWS in RFC 9110) from both ends. strings.Trim was a fifth of a request's cost.
func trim(s string) string {
	for s != "" && isBlank(s[0]) {
		s = s[1:]
	}
	for s != "" && isBlank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

package key

import (
	"strings"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/ascii"
)

// pairs reads the pairs of a query (a=1&b=2) or a cookie header (a=1; b=2). Some upstreams know a second separator: `;`
// in queries (HTML 4.01, appendix B.2.2), `,` in cookies (RFC 2109, section 4.3.4). Where it is in a pair that concerns
// the part, it depends on the upstream what the pair means:
//
//	?user=K;x=1    user: K, or K;x=1      ?x=1;user=K    user: none, or K
func (r *reader) pairs(s string, separator, second byte) {
	for s != "" && r.state != ambiguous {
		var pair string
		pair, s = cut(s, separator)
		one, rest := cut(pair, second)
		if len(one) == len(pair) {
			r.pair(one)
			continue
		}
		for ; one != "" || rest != ""; one, rest = cut(rest, second) {
			if name, _, _ := r.split(one); r.compare(name) != different {
				r.state = ambiguous
			}
		}
	}
}

// cut is strings.Cut by a byte, without the report.
func cut(s string, separator byte) (before, after string) {
	if i := strings.IndexByte(s, separator); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

// pair reads name=value.
func (r *reader) pair(pair string) {
	name, value, whole := r.split(pair)
	switch r.compare(name) {
	case different:
	case similar:
		r.state = ambiguous
	case same:
		switch {
		case !r.found():
		case r.part.Kind == policy.KeyQuery:
			r.value(value)
		case !whole:
			r.state = ambiguous
		default:
			r.cookieValue(value)
		}
	}
}

// split takes a pair apart. A cookie without = is a name to some and a value to others; whole is false then.
func (r *reader) split(pair string) (name, value string, whole bool) {
	if r.part.Kind == policy.KeyCookie {
		pair = trim(pair)
	}
	// The cookie =sid=1 has no name and the value sid=1, which some write as sid=1 (CVE-2023-23934).
	start := len(pair) - len(ascii.TrimLeft(pair, "="))
	name, value, whole = strings.Cut(pair[start:], "=")
	return pair[:start+len(name)], value, whole
}

// likeness is how the name of a pair compares with the part's.
type likeness uint8

const (
	different likeness = iota
	similar            // an upstream may read it as the part's name
	same
)

// compare compares the name of a pair with the part's: a query's decoded, a cookie's as it is (RFC 6265, section 5.4).
func (r *reader) compare(name string) likeness {
	want := r.part.Name
	if r.part.Kind == policy.KeyCookie && name == want {
		return same
	}
	start := len(r.b)
	r.b = appendDecoded(r.b, name, true)
	decoded := r.b[start:]
	r.b = r.b[:start]
	switch {
	case r.part.Kind == policy.KeyQuery && string(decoded) == want:
		return same
	case alike(decoded, want):
		return similar
	default:
		return different
	}
}

// cookieValue appends a cookie's value without the quotes around it, which some servers take off (RFC 6265, section
// 4.1.1). With other quotes, or escapes as in "\113", servers differ.
func (r *reader) cookieValue(value string) {
	value = trim(value)
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value = trim(value[1 : n-1])
	}
	if ascii.IndexAny(value, `"\`) >= 0 {
		r.state = ambiguous
		return
	}
	r.value(value)
}

// value appends a value decoded. Upstreams differ in whether + is a space, so that + and %2B, or + and %20, may be two
// spellings of one value: all four are the same key.
func (r *reader) value(value string) {
	start := len(r.b)
	r.b = appendDecoded(r.b, value, true)
	for i := start; i < len(r.b); i++ {
		if r.b[i] == '+' {
			r.b[i] = ' '
		}
	}
}

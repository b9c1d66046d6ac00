package fallback

import (
	"strings"

	"github.com/weir-mesh/weir/policy/ascii"
)

// NotModified reports whether a client that sent this if-none-match has the answer with this etag, by weak comparison
// (RFC 9110, sections 8.8.3.2 and 13.1.2). "*" matches any answer. A malformed entity tag matches none.
func NotModified(ifNoneMatch, etag string) bool {
	list := trim(ifNoneMatch)
	if list == "*" {
		return true
	}
	stored, rest, ok := nextETag(trim(etag))
	if !ok || rest != "" {
		return false
	}
	for {
		list = ascii.TrimLeft(list, " \t,")
		tag, rest, ok := nextETag(list)
		if !ok {
			return false
		}
		if tag == stored {
			return true
		}
		list = ascii.TrimLeft(rest, " \t")
		if list != "" && list[0] != ',' {
			return false
		}
	}
}

// nextETag splits the first entity tag off a list and returns what is between its quotes, which may contain commas and
// backslashes.
func nextETag(s string) (tag, rest string, ok bool) {
	s = strings.TrimPrefix(s, "W/")
	if s == "" || s[0] != '"' {
		return "", "", false
	}
	end := strings.IndexByte(s[1:], '"')
	if end < 0 {
		return "", "", false
	}
	return s[1 : 1+end], s[2+end:], true
}

package fallback

import (
	"path"
	"strings"

	"github.com/weir-mesh/weir/policy/ascii"
)

// Unsafe reports whether a method may change what its target is, so that a response to it that is no error invalidates
// what is kept of the target (RFC 9111, section 4.4). Safe are those that IANA's registry of methods calls safe; one that
// is not known is unsafe.
func Unsafe(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY", "PRI", "":
		return false
	}
	return true
}

// Invalidates reports whether a response to an unsafe method is no error, so that it invalidates.
func Invalidates(status int) bool { return status >= 200 && status < 400 }

// PathOf is the path of a target without its query.
func PathOf(target string) string { return target[:cut(target, "?#")] }

// InvalidatedPath is the path, without its query, of a URI reference in Location or Content-Location. It is resolved against
// the request's authority and path (RFC 3986, section 5.2). It is not ok for another host or another scheme than http and
// https: a response must not invalidate those (RFC 9111, section 4.4).
//
//	authority a.example, path /v1/orders
//	https://a.example/v1/orders/7?x  ─► /v1/orders/7
//	/v1/orders/7                     ─► /v1/orders/7
//	orders/7                         ─► /v1/orders/7
//	https://b.example/               ─► not ok
func InvalidatedPath(authority, base, reference string) (target string, ok bool) {
	reference = PathOf(trim(reference))
	if scheme := cut(reference, ":/"); scheme < len(reference) && reference[scheme] == ':' {
		if !ascii.EqualFold(reference[:scheme], "http") && !ascii.EqualFold(reference[:scheme], "https") {
			return "", false
		}
		reference = reference[scheme+1:]
		if !strings.HasPrefix(reference, "//") {
			return "", false
		}
	}
	if rest, absolute := strings.CutPrefix(reference, "//"); absolute {
		host := rest[:cut(rest, "/")]
		if !ascii.EqualFold(withoutPort(host), withoutPort(authority)) {
			return "", false
		}
		reference = "/" + strings.TrimPrefix(rest[len(host):], "/")
	}
	switch {
	case reference == "":
		return base, true
	case reference[0] != '/':
		reference = base[:strings.LastIndexByte(base, '/')+1] + reference
	}
	return withoutDots(reference), true
}

// withoutDots removes the segments . and .. (RFC 3986, section 5.2.4). Double slashes stay where there is no such segment.
func withoutDots(p string) string {
	if !strings.Contains(p+"/", "/./") && !strings.Contains(p+"/", "/../") {
		return p
	}
	clean := path.Clean(p)
	if clean != "/" && (strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..")) {
		clean += "/"
	}
	return clean
}

// withoutPort is an authority without its port: to invalidate too much is no harm.
func withoutPort(authority string) string {
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		return authority[:i]
	}
	return authority
}

// cut is the index of the first of some bytes, or the length where there is none.
func cut(s, of string) int {
	if i := ascii.IndexAny(s, of); i >= 0 {
		return i
	}
	return len(s)
}

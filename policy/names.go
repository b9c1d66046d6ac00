package policy

import (
	"slices"
	"strings"
)

// clusterName checks the name of an upstream cluster.
func clusterName(s string) (problem string) {
	if strings.Contains(s, "*") {
		return "must be one cluster's name, without *, got " + quote(s)
	}
	return clusterPattern(s)
}

// clusterPattern checks a name in which * may stand for any run of characters.
func clusterPattern(s string) (problem string) {
	switch {
	case s == "":
		return "the name is empty"
	case len(s) > maxName:
		return "the name has more than 256 bytes"
	case hasControl(s):
		return "the name has a control character: " + quote(s)
	}
	return ""
}

// headerName answers a header's name in lower case (RFC 9110, 5.1), or why it can't be one.
func headerName(s string) (lower, problem string) {
	switch {
	case strings.HasPrefix(s, ":"):
		return "", "pseudo headers can't be used, got " + quote(s)
	case !token(s):
		return "", "must be a header name, got " + quote(s)
	}
	return strings.ToLower(s), ""
}

// answerHeader checks the name of a header that an answer of our own carries: not one that belongs to the
// connection (RFC 9110, 7.6.1), and none of those that the filter writes itself.
func answerHeader(s string) (lower, problem string) {
	lower, problem = headerName(s)
	if problem != "" {
		return "", problem
	}
	connection := []string{
		"connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
	}
	if slices.Contains(connection, lower) {
		return "", "the proxy sets " + lower + " itself"
	}
	if strings.HasPrefix(lower, "x-weir-") {
		return "", "the headers x-weir-* are the filter's own"
	}
	return lower, ""
}

// hostName answers a host's name in lower case, or why it can't be one.
func hostName(s string) (lower, problem string) {
	lower = strings.ToLower(s)
	if s == "" || len(s) > maxName || strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
		return "", "must be a host's name, without a port, got " + quote(s)
	}
	return lower, ""
}

// method checks a request method. Methods are case-sensitive (RFC 9110, 9.1), and all registered ones upper case.
func method(s string) (kept, problem string) {
	if !token(s) || s != strings.ToUpper(s) {
		return "", "must be a method in upper case, got " + quote(s)
	}
	return s, ""
}

// printable checks a text that becomes part of a request of our own. It doesn't show it: it may be a secret.
func printable(s string) (problem string) {
	switch {
	case len(s) > 4096:
		return "must have at most 4096 bytes"
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "must be of printable ASCII characters without spaces"
	}
	return ""
}

// token says that s is a token (RFC 9110, 5.6.2) of bounded length.
func token(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		if !isLetterOrDigit(s[i]) && strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) < 0 {
			return false
		}
	}
	return true
}

// hasControl says that s has an ASCII control character.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

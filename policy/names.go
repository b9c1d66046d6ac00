package policy

import (
	"slices"
	"strings"

	"github.com/weir-mesh/weir/policy/ascii"
	"github.com/weir-mesh/weir/policy/header"
)

// policyName checks the name of an entry of `policies`. It becomes a part of metric labels and of paths of the admin API.
func policyName(s string) (problem string) {
	const most = 64
	if s == "" || len(s) > most || ascii.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
		return "a policy's name must have 1 to 64 letters, digits, - _ or ., got " + quote(s)
	}
	return ""
}

// clusterName checks the name of an upstream cluster.
func clusterName(s string) (problem string) {
	if strings.Contains(s, "*") {
		return "must be the name of one cluster, without *, got " + quote(s)
	}
	return clusterPattern(s)
}

// clusterPattern checks a name in which * matches any run of characters.
func clusterPattern(s string) (problem string) {
	switch {
	case s == "":
		return "the name is empty, write a cluster's name"
	case len(s) > maxName:
		return "the name must have at most 256 bytes"
	case hasControl(s):
		return "the name must not have control characters, got " + quote(s)
	}
	return ""
}

// pathPattern checks a path in which * matches any run of characters.
func pathPattern(s string) (problem string) {
	switch {
	case s == "" || s[0] != '/' && s[0] != '*':
		return "must be a path that begins with / or *, got " + quote(s)
	case len(s) > maxName:
		return "the path must have at most 256 bytes"
	case ascii.IndexAny(s, "?#") >= 0:
		return "is compared with the path alone; remove what begins with ? or #"
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "must have only printable ASCII characters and no spaces: a request has others as %20 and such"
	}
	return ""
}

// headerName returns a header's name in lower case (RFC 9110, section 5.1), or what is wrong with it.
func headerName(s string) (lower, problem string) {
	switch {
	case strings.HasPrefix(s, ":"):
		return "", "must not be a pseudo header, got " + quote(s)
	case !token(s):
		return "", "must be a header name, got " + quote(s)
	}
	return ascii.Lower(s), ""
}

// defaultHeader checks the name of a header of default_data: not one that belongs to the connection (RFC 9110, section
// 7.6.1), and none that the filter sets itself.
func defaultHeader(s string) (lower, problem string) {
	lower, problem = headerName(s)
	if problem != "" {
		return "", problem
	}
	connection := []string{
		"connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
	}
	if slices.Contains(connection, lower) {
		return "", "the proxy sets " + lower + " itself, remove it"
	}
	if strings.HasPrefix(lower, header.Prefix) {
		return "", "the filter sets the headers x-weir-* itself, remove it"
	}
	return lower, ""
}

// hostName returns a host name in lower case, or what is wrong with it.
func hostName(s string) (lower, problem string) {
	lower = ascii.Lower(s)
	if s == "" || len(s) > maxName || ascii.Trim(lower, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
		return "", "must be a host name without a port, got " + quote(s)
	}
	return lower, ""
}

// method checks a request method. Methods are case-sensitive (RFC 9110, section 9.1); all registered ones are upper
// case.
func method(s string) (kept, problem string) {
	if !token(s) || ascii.HasLower(s) {
		return "", "must be a request method in upper case, got " + quote(s)
	}
	return s, ""
}

// printable checks a text that becomes part of a request to Redis. The mistake doesn't show it: it may be a secret.
func printable(s string) (problem string) {
	switch {
	case len(s) > 4096:
		return "must have at most 4096 bytes"
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "must have only printable ASCII characters and no spaces"
	}
	return ""
}

// token reports whether s is a token (RFC 9110, section 5.6.2) of bounded length.
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

// hasControl reports whether s has an ASCII control character.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

package admin

import (
	"math"
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/policy/ascii"
	"github.com/weir-mesh/weir/policy/decimal"
	"github.com/weir-mesh/weir/policy/jsontext"
)

// Request is what the handler needs of a request's headers.
type Request struct {
	Method      string
	Target      string // the path with its query, as it was sent
	Host        string // :authority
	Origin      string
	FetchSite   string // Sec-Fetch-Site
	ContentType string
	Encodings   string // Accept-Encoding
	Length      string // Content-Length
	Ended       bool   // no body follows
}

// maxBody bounds the body of a POST, in bytes. It is not read.
const maxBody = 4096

// checkPost refuses a POST that another site's page may have sent, and a body that is too long.
func (r *Request) checkPost() *httpError {
	switch {
	case r.isCrossSite():
		return newError(403, "a page of another site must not do this")
	case !r.hasJSON():
		return newError(415, "the body must be JSON with content-type: application/json; better send none")
	case r.Ended:
		return nil
	case r.Length == "":
		return newError(411, "a body needs a Content-Length; better send none")
	}
	length, ok := decimal.Whole(r.Length)
	switch {
	case !ok || length > math.MaxInt64:
		return newError(400, "Content-Length is not a number")
	case length > maxBody:
		return newError(413, "the body has "+strconv.FormatUint(length, 10)+" bytes, more than "+strconv.Itoa(maxBody))
	}
	return nil
}

// hasJSON says whether the body is JSON, or empty. A browser sends a form, a plain text or a body without a type to
// any site without asking it first (Fetch, 2.2.2); none of these is JSON.
func (r *Request) hasJSON() bool {
	mediaType, _, _ := strings.Cut(r.ContentType, ";")
	mediaType = ascii.Trim(mediaType, ascii.Space)
	if mediaType == "" {
		return r.Ended || r.Length == "0"
	}
	return ascii.EqualFold(mediaType, "application/json")
}

// isCrossSite says whether a browser sent the request for a page of another site, by its Origin (RFC 6454) or its
// Sec-Fetch-Site (Fetch Metadata). Clients that are not browsers send neither.
func (r *Request) isCrossSite() bool {
	if site := r.FetchSite; site != "" && site != "same-origin" && site != "none" {
		return true
	}
	if r.Origin == "" {
		return false
	}
	_, host, ok := strings.Cut(r.Origin, "://")
	return !ok || !ascii.EqualFold(host, r.Host)
}

// hostIsPrivate says whether the request's host is an address, a private name or one of hosts. This stops DNS
// rebinding: an attacker's page whose public name resolves to this listener has the same origin as the listener, for
// the browser, so the checks of isCrossSite pass. But its host is a public name.
func (r *Request) hostIsPrivate(hosts []string) bool {
	name := hostname(r.Host)
	if name == "" {
		return false
	}
	if isAddress(name) || !strings.Contains(name, ".") {
		return true
	}
	for _, suffix := range privateSuffixes {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	for _, host := range hosts {
		if hostname(host) == name {
			return true
		}
	}
	return false
}

// privateSuffixes end names that no public DNS server resolves (RFC 6761, RFC 6762, ICANN's .internal, Kubernetes'
// .svc).
var privateSuffixes = []string{".localhost", ".local", ".internal", ".svc"}

// hostname is a host (RFC 9110, 7.2) in lower case, without its port and the final dot. It is "" where authority is
// not a host: Envoy joins two Host headers with a comma, for example.
func hostname(authority string) string {
	if rest, bracketed := strings.CutPrefix(authority, "["); bracketed {
		address, port, closed := strings.Cut(rest, "]")
		if !closed || !strings.Contains(address, ":") || (port != "" && !isPort(port)) {
			return ""
		}
		return ascii.Lower("[" + address + "]")
	}
	name := ascii.Lower(authority)
	if i := strings.IndexByte(name, ':'); i >= 0 {
		if !isPort(name[i:]) {
			return ""
		}
		name = name[:i]
	}
	if ascii.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return ""
	}
	return strings.TrimSuffix(name, ".")
}

// isPort accepts :80, and the : without a number that RFC 3986, 3.2.3, allows.
func isPort(s string) bool { return s[0] == ':' && ascii.Trim(s[1:], "0123456789") == "" }

// isAddress accepts 127.0.0.1 and [::1]. To a browser a host whose last label is a number is an address (WHATWG URL,
// 4.1), so it is never a name.
func isAddress(host string) bool {
	if strings.HasPrefix(host, "[") {
		return true
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last != "" && ascii.Trim(last, "0123456789") == ""
}

// decode percent-decodes; plus says that + is a blank, as in a query. ok is false where two digits are missing after
// a %, or where the decoded text is not UTF-8 or has control characters.
func decode(s string, plus bool) (decoded string, ok bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%':
			if i+2 >= len(s) {
				return "", false
			}
			high, ok := jsontext.HexDigit(s[i+1])
			low, both := jsontext.HexDigit(s[i+2])
			if !ok || !both {
				return "", false
			}
			b = append(b, byte(high<<4|low))
			i += 2
		case c == '+' && plus:
			b = append(b, ' ')
		default:
			b = append(b, c)
		}
	}
	decoded = string(b)
	return decoded, printable(decoded)
}

// printable says whether a text is UTF-8 without control characters.
func printable(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return false
		}
	}
	return true
}

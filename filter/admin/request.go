package admin

import (
	"strconv"
	"strings"
)

// Request is what is known of a request when its headers have come.
type Request struct {
	Method      string
	Target      string // the path with its query, as it was sent
	Host        string // :authority
	Origin      string
	FetchSite   string // Sec-Fetch-Site
	ContentType string
	Length      string // Content-Length
	Ended       bool   // no body follows
}

// Answer is what to answer. Where the request's method is HEAD the body is for its length only.
type Answer struct {
	Status  int
	Headers [][2]string
	Body    []byte
}

// maxBody is what may follow a POST, in bytes. It is not read.
const maxBody = 4096

// sent says what is wrong with what a POST sends.
func (r *Request) sent() *refusal {
	if r.Ended {
		return nil
	}
	length, err := strconv.ParseUint(r.Length, 10, 63)
	switch {
	case r.Length == "":
		return refuse(411, "a body needs a Content-Length; better send none")
	case err != nil:
		return refuse(400, "Content-Length is no number")
	case length > maxBody:
		return refuse(413, "the body has "+strconv.FormatUint(length, 10)+" bytes, at most "+strconv.Itoa(maxBody)+" are taken")
	}
	return nil
}

// json says whether the body is JSON, or there is none. A form, a plain text or a body of no type, which a browser sends to
// anybody (Fetch, 2.2.2), is not.
func (r *Request) json() bool {
	mediaType, _, _ := strings.Cut(r.ContentType, ";")
	mediaType = strings.TrimSpace(mediaType)
	if mediaType == "" {
		return r.Ended || r.Length == "0"
	}
	return strings.EqualFold(mediaType, "application/json")
}

// foreign says whether a browser sent the request for another site than this one's page: by where it comes from (Origin,
// RFC 6454) or by what the browser says of it (Fetch Metadata). Who is no browser sends neither.
func (r *Request) foreign() bool {
	if site := r.FetchSite; site != "" && site != "same-origin" && site != "none" {
		return true
	}
	if r.Origin == "" {
		return false
	}
	_, host, ok := strings.Cut(r.Origin, "://")
	return !ok || !strings.EqualFold(host, r.Host)
}

// known says whether the host that was asked for is one that only this network's own names lead to. A page of somebody else's
// whose name was made to lead here (DNS rebinding) is of the same origin as this listener to the browser; but it has a public
// name, and no page has an address, localhost, or a name of this network only as its own. hosts are further ones.
func (r *Request) known(hosts []string) bool {
	name := hostname(r.Host)
	if name == "" {
		return false
	}
	if isAddress(name) || !strings.Contains(name, ".") {
		return true
	}
	for _, suffix := range privateNames {
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

// privateNames end names that no public server answers for (RFC 6761, RFC 6762, ICANN's .internal), and Kubernetes' own.
var privateNames = []string{".localhost", ".local", ".internal", ".svc"}

// hostname is a host (RFC 9110, 7.2) without its port and the final dot, in lower case; "" where it is none, such as the two
// that Envoy joins with a comma.
func hostname(authority string) string {
	if rest, bracketed := strings.CutPrefix(authority, "["); bracketed {
		address, port, closed := strings.Cut(rest, "]")
		if !closed || !strings.Contains(address, ":") || (port != "" && !isPort(port)) {
			return ""
		}
		return strings.ToLower("[" + address + "]")
	}
	name := strings.ToLower(authority)
	if i := strings.IndexByte(name, ':'); i >= 0 {
		if !isPort(name[i:]) {
			return ""
		}
		name = name[:i]
	}
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return ""
	}
	return strings.TrimSuffix(name, ".")
}

// isPort knows :80, and the : that RFC 3986, 3.2.3, allows without a number.
func isPort(s string) bool { return s[0] == ':' && strings.Trim(s[1:], "0123456789") == "" }

// isAddress knows 127.0.0.1 and [::1]. A browser takes a host whose last part is a number for an address (WHATWG URL, 4.1),
// so none that looks like one is a name.
func isAddress(host string) bool {
	if strings.HasPrefix(host, "[") {
		return true
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// decode replaces %XX; plus says that + is a blank, as in a query. ok is false where a % has no two digits behind it, or
// what comes of it is no name: a control character or no UTF-8.
func decode(s string, plus bool) (decoded string, ok bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%':
			if i+2 >= len(s) {
				return "", false
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			b = append(b, byte(n))
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

package admin

import (
	"strings"

	"github.com/weir-mesh/weir/filter/internal/admin/page"
	"github.com/weir-mesh/weir/policy/ascii"
	"github.com/weir-mesh/weir/policy/jsontext"
)

// Response is the local reply to send. Where the request's method is HEAD, only the length of the body counts.
type Response struct {
	Status  int
	Headers [][2]string
	Body    []byte
	Waits   Ticket // not 0: the response comes later, from Handler.Continue
}

// httpError is a response with status 400 or higher; its body is {"error": message}.
type httpError struct {
	status  int
	message string
	allow   string // of a 405: the header allow
}

func newError(status int, message string) *httpError {
	return &httpError{status: status, message: message}
}

func (e *httpError) response() Response {
	r := jsonResponse(e.status, func(w *jsontext.Writer) {
		w.Open('{')
		w.Name("error")
		w.String(e.message)
		w.Close('}')
	})
	if e.allow != "" {
		r.Headers = append(r.Headers, [2]string{"allow", e.allow})
	}
	return r
}

// commonHeaders keep every response out of caches, frames and other sites' pages.
var commonHeaders = [][2]string{
	{"cache-control", "no-store"},
	{"x-content-type-options", "nosniff"},
	{"referrer-policy", "no-referrer"},
	{"cross-origin-resource-policy", "same-origin"},
	{"cross-origin-opener-policy", "same-origin"},
}

func newResponse(status int, contentType, csp string, body []byte) Response {
	headers := make([][2]string, 0, len(commonHeaders)+3)
	headers = append(headers, commonHeaders...)
	if contentType != "" {
		headers = append(headers, [2]string{"content-type", contentType})
	}
	return Response{Status: status, Headers: append(headers, [2]string{"content-security-policy", csp}), Body: body}
}

// strictCSP is for responses that are not the page: it lets nothing run.
const strictCSP = "default-src 'none'; frame-ancestors 'none'"

func jsonResponse(status int, write func(*jsontext.Writer)) Response {
	w := jsontext.Writer{}
	write(&w)
	return newResponse(status, "application/json", strictCSP, append(w.Text, '\n'))
}

// pageResponse is the page, which the module has compressed only. Browsers accept that; any other client is told what it can do.
func pageResponse(acceptEncoding string) (Response, *httpError) {
	if !acceptsGzip(acceptEncoding) {
		return Response{}, newError(406, "the page is for browsers and sent to clients that accept gzip: open it in a browser, or use "+
			"curl --compressed; as JSON it is at /status, as text weir status shows it")
	}
	r := newResponse(200, page.ContentType, page.CSP, []byte(page.Gzip))
	r.Headers = append(r.Headers, [2]string{"content-encoding", "gzip"})
	return r, nil
}

// acceptsGzip reads a header accept-encoding (RFC 9110, section 12.5.3).
func acceptsGzip(header string) bool {
	accepts := false
	for coding := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(coding, ";")
		name = ascii.Trim(name, ascii.Space)
		_, q, _ := strings.Cut(weight, "=")
		wanted := ascii.Trim(q, " 0.") != "" || ascii.Trim(q, ascii.Space) == ""
		switch {
		case ascii.EqualFold(name, "gzip"):
			return wanted
		case name == "*":
			accepts = wanted
		}
	}
	return accepts
}

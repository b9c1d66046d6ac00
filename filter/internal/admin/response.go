package admin

import (
	"github.com/weir-mesh/weir/filter/internal/admin/page"
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

func pageResponse() Response { return newResponse(200, page.ContentType, page.CSP, page.HTML) }

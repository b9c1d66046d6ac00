package admin

import (
	"encoding/json"

	"github.com/weir-mesh/weir/filter/admin/page"
)

// refusal is an answer that says no, and why.
type refusal struct {
	status int
	text   string
	allow  string // of a 405: what there is instead
}

func refuse(status int, text string) *refusal { return &refusal{status: status, text: text} }

func (r *refusal) answer() Answer {
	a := jsonAnswer(r.status, struct {
		Error string `json:"error"`
	}{r.text})
	if r.allow != "" {
		a.Headers = append(a.Headers, [2]string{"allow", r.allow})
	}
	return a
}

// always is on each answer: nobody keeps it, takes it for something else, frames it, or reads it from another site.
var always = [][2]string{
	{"cache-control", "no-store"},
	{"x-content-type-options", "nosniff"},
	{"referrer-policy", "no-referrer"},
	{"cross-origin-resource-policy", "same-origin"},
	{"cross-origin-opener-policy", "same-origin"},
}

func newAnswer(status int, contentType, csp string, body []byte) Answer {
	headers := make([][2]string, 0, len(always)+3)
	headers = append(headers, always...)
	if contentType != "" {
		headers = append(headers, [2]string{"content-type", contentType})
	}
	return Answer{Status: status, Headers: append(headers, [2]string{"content-security-policy", csp}), Body: body}
}

const nothingAllowed = "default-src 'none'; frame-ancestors 'none'"

func jsonAnswer(status int, v any) Answer {
	body, err := json.Marshal(v)
	if err != nil { // nothing here has a number or a type that JSON has not; say it all the same
		status, body = 500, []byte(`{"error":"the answer can't be written as JSON"}`)
	}
	return newAnswer(status, "application/json", nothingAllowed, append(body, '\n'))
}

func pageAnswer() Answer { return newAnswer(200, page.ContentType, page.CSP, page.HTML) }

package localreply

import (
	"encoding/json"
	"strconv"

	"github.com/weir-mesh/weir/policy/fallback"
)

// typeBase starts the `type` of a problem (RFC 9457): the page that explains it.
const typeBase = "https://github.com/weir-mesh/weir#"

// problem is a problem+json body up to where retry_after goes.
type problem []byte

// newProblem writes the members of Weir's errors as problem details (RFC 9457), without retry_after and the closing
// brace.
func newProblem(title string, status int, text string, source fallback.Source, warnings []string) problem {
	if warnings == nil {
		warnings = []string{}
	}
	degraded := source == fallback.FromDegraded
	body, err := json.Marshal(struct {
		Type         string   `json:"type"`
		Title        string   `json:"title"`
		Status       int      `json:"status"`
		Detail       string   `json:"detail"`
		Data         *string  `json:"data"`
		Source       string   `json:"source"`
		FallbackUsed bool     `json:"fallback_used"`
		DegradedMode bool     `json:"degraded_mode"`
		Warnings     []string `json:"warnings"`
		Error        string   `json:"error"`
	}{typeBase + title, title, status, text, nil, source.String(), degraded, degraded, warnings, text})
	if err != nil { // strings, numbers and booleans always marshal
		body = []byte(`{"title":"` + title + `"}`)
	}
	return body[:len(body)-1]
}

// with adds retry_after and the closing brace. Seconds below 1 mean unknown: the member is left out.
func (p problem) with(seconds int64) []byte {
	body := make([]byte, 0, len(p)+32)
	body = append(body, p...)
	if seconds > 0 {
		body = append(body, `,"retry_after":`...)
		body = strconv.AppendInt(body, seconds, 10)
	}
	return append(body, '}')
}

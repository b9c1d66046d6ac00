package localreply

import (
	"encoding/json"
	"strconv"

	"github.com/weir-mesh/weir/policy/fallback"
)

// typeBase starts the `type` of a problem (RFC 9457): the page that explains it.
const typeBase = "https://github.com/weir-mesh/weir#"

// problem is a problem+json body in two pieces: up to where the status goes, and from there to where retry_after goes.
type problem struct{ before, after []byte }

// newProblem packs the members of the seed's error format as problem details (RFC 9457), without the status, retry_after
// and the closing brace. The title needs no escapes.
func newProblem(title, text string, source fallback.Source, warnings []string) problem {
	if warnings == nil {
		warnings = []string{}
	}
	degraded := source == fallback.FromDegraded
	after, err := json.Marshal(struct {
		Detail       string   `json:"detail"`
		Data         *string  `json:"data"`
		Source       string   `json:"source"`
		FallbackUsed bool     `json:"fallback_used"`
		DegradedMode bool     `json:"degraded_mode"`
		Warnings     []string `json:"warnings"`
		Error        string   `json:"error"`
	}{text, nil, source.String(), degraded, degraded, warnings, text})
	if err != nil { // strings, numbers and booleans always marshal
		after = []byte("{}")
	}
	after[0] = ','
	return problem{
		before: []byte(`{"type":"` + typeBase + title + `","title":"` + title + `","status":`),
		after:  after[:len(after)-1],
	}
}

// with closes the body. Seconds below 1 stand for unknown, and the member is left out.
func (p *problem) with(status int, seconds int64) []byte {
	body := make([]byte, 0, len(p.before)+len(p.after)+40)
	body = append(body, p.before...)
	body = strconv.AppendInt(body, int64(status), 10)
	body = append(body, p.after...)
	if seconds > 0 {
		body = append(body, `,"retry_after":`...)
		body = strconv.AppendInt(body, seconds, 10)
	}
	return append(body, '}')
}

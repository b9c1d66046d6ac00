package localreply

import (
	"strconv"

	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/jsontext"
)

// typeBase starts the `type` of a problem (RFC 9457): the page that explains it.
const typeBase = "https://github.com/weir-mesh/weir#"

// problem is a problem+json body in two pieces: up to where the status goes, and from there to where retry_after goes.
type problem struct{ before, after []byte }

// newProblem packs the members of the seed's error format as problem details (RFC 9457), without the status, retry_after
// and the closing brace. The title needs no escapes.
func newProblem(title, text string, source fallback.Source, warnings []string) problem {
	degraded := source == fallback.FromDegraded
	w := jsontext.Writer{Text: []byte{'{'}}
	w.Name("detail")
	w.String(text)
	w.Name("data")
	w.Null()
	w.Name("source")
	w.String(source.String())
	w.Name("fallback_used")
	w.Bool(degraded)
	w.Name("degraded_mode")
	w.Bool(degraded)
	w.Name("warnings")
	w.Strings(warnings)
	w.Name("error")
	w.String(text)
	w.Text[0] = ',' // the object goes on
	return problem{
		before: []byte(`{"type":"` + typeBase + title + `","title":"` + title + `","status":`),
		after:  w.Text,
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

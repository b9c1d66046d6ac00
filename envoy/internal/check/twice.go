package check

import (
	"fmt"

	"github.com/weir-mesh/weir/envoy/policyfile"
)

// writtenTwice has a finding for each key of an object that a later one of the same name replaces. Who reads the file
// decides what becomes of it: Envoy 1.40 and kubectl keep the last one of a YAML file. Of a JSON file Envoy refuses to
// read a Struct ("got unexpectedly-repeated repeated map key"), and the filter refuses the text of a StringValue, which
// the decoder has already said.
func writtenTwice(at *positions, p plugin) []Finding {
	severity, what := Warning, ""
	switch {
	case p.form == asText:
		return nil
	case p.reading == policyfile.JSONText:
		severity, what = Mistake, "Envoy refuses a JSON file with a key that is written twice"
	case p.reading == policyfile.Kubernetes:
		what = "kubectl takes only the last one"
	default:
		what = "Envoy takes only the last one"
	}
	var all []Finding
	for _, t := range at.twice {
		again := "in the same line"
		if t.last != t.line {
			again = fmt.Sprintf("in line %d", t.last)
		}
		all = append(all, Finding{
			t.line, t.column, severity, t.path, fmt.Sprintf("is written again %s, and %s; remove one", again, what),
		})
	}
	return all
}

package policy

import (
	"strings"
	"unicode/utf8"
)

// substitute replaces ${NAME} and ${NAME:-value} in every string value below v, keys excepted. As in a shell, the
// value after :- is taken where the variable is unset or empty; it ends at the first }. $${ stands for ${.
func (d *decoder) substitute(at *place, v *value) {
	switch v.kind {
	case text:
		before := d.count
		v.text, v.substituted = d.substituteText(at, v.text)
		v.broken = d.count > before
	case list:
		for i := range v.items {
			d.substitute(at.item(i), &v.items[i])
		}
	case object:
		for i := range v.members {
			d.substitute(at.member(v.members[i].name), &v.members[i].value)
		}
	}
}

// substituteText answers the text with its variables filled in, and whether there was one.
func (d *decoder) substituteText(at *place, s string) (string, bool) {
	if !strings.Contains(s, "${") {
		return s, false
	}
	var out strings.Builder
	substituted := false
	for {
		start := strings.Index(s, "${")
		if start < 0 {
			break
		}
		if start > 0 && s[start-1] == '$' { // $${
			out.WriteString(s[:start-1])
			out.WriteString("${")
			s = s[start+2:]
			continue
		}
		out.WriteString(s[:start])
		length := strings.IndexByte(s[start:], '}')
		if length < 0 {
			d.mistake(at.String(), "%s has no closing }; write $${ for a plain ${", quote(s[start:]))
			return out.String(), true
		}
		substituted = true
		out.WriteString(d.variable(at, s[start:start+length+1]))
		s = s[start+length+1:]
	}
	out.WriteString(s)
	return out.String(), substituted
}

// variable answers the value of one expression, ${NAME} or ${NAME:-value}.
func (d *decoder) variable(at *place, expression string) string {
	name, instead, hasDefault := strings.Cut(expression[2:len(expression)-1], ":-")
	if !variableName(name) {
		d.mistake(at.String(), "%s is neither ${NAME} nor ${NAME:-value}; write $${ for a plain ${", quote(expression))
		return ""
	}
	if strings.Contains(instead, "${") {
		d.mistake(at.String(), "%s: the value after :- can't hold another ${", quote(expression))
		return ""
	}
	answer, set := d.getenv(name)
	switch {
	case hasDefault && answer == "":
		answer = instead
	case !set:
		d.mistake(at.String(), "the variable %s is not set; write ${%s:-value} to do without it", name, name)
	case !utf8.ValidString(answer):
		d.mistake(at.String(), "the value of the variable %s is not UTF-8", name)
		answer = ""
	}
	// A long value named many times must not outgrow the document's own bound.
	if d.substitutedBytes += len(answer); d.substitutedBytes > maxBytes {
		d.mistake(at.String(), "the variables' values are longer than %d bytes in all", maxBytes)
		return ""
	}
	return answer
}

func variableName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (!isLetterOrDigit(c) || i == 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

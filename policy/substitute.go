package policy

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// substitute replaces ${NAME} and ${NAME:-value} in every string value below v, but not in keys. As in a shell, the
// value after :- is used if the variable is unset or empty; it ends at the first }. $${ is a plain ${.
func (d *decoder) substitute(v *value) {
	switch v.kind {
	case text:
		before := d.count
		v.text, v.substituted = d.substituteText(v.text)
		v.broken = d.count > before
	case list:
		for i := range v.items {
			d.at.enterItem(i)
			d.substitute(&v.items[i])
			d.at.leave()
		}
	case object:
		for i := range v.members {
			d.at.enter(v.members[i].name)
			d.substitute(&v.members[i].value)
			d.at.leave()
		}
	}
}

// Substitute is a text of a document that Decode takes, with its variables filled in.
func Substitute(text string, getenv func(string) (string, bool)) string {
	d := &decoder{getenv: getenv}
	filled, _ := d.substituteText(text)
	return filled
}

// substituteText returns the text with its variables filled in, and whether there was one.
func (d *decoder) substituteText(s string) (string, bool) {
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
			d.mistake(d.at.String(), quote(s[start:])+" has no closing }; write $${ for a plain ${")
			return out.String(), true
		}
		substituted = true
		out.WriteString(d.variable(s[start : start+length+1]))
		s = s[start+length+1:]
	}
	out.WriteString(s)
	return out.String(), substituted
}

// variable returns the value of one expression, ${NAME} or ${NAME:-value}.
func (d *decoder) variable(expression string) string {
	name, fallback, hasDefault := strings.Cut(expression[2:len(expression)-1], ":-")
	if !variableName(name) {
		d.mistake(d.at.String(), quote(expression)+" is neither ${NAME} nor ${NAME:-value}; write $${ for a plain ${")
		return ""
	}
	if strings.Contains(fallback, "${") {
		d.mistake(d.at.String(), quote(expression)+": the value after :- can't contain another ${")
		return ""
	}
	value, set := d.getenv(name)
	switch {
	case hasDefault && value == "":
		value = fallback
	case !set:
		d.mistake(d.at.String(), "the variable "+name+" is not set; set it, or write ${"+name+":-value} for a default")
	case !utf8.ValidString(value):
		d.mistake(d.at.String(), "the value of the variable "+name+" must be UTF-8")
		value = ""
	}
	// A long value that is used many times must not exceed the bound of the document.
	if d.substitutedBytes += len(value); d.substitutedBytes > maxBytes {
		d.mistake(d.at.String(), "the values of all variables must have at most "+strconv.Itoa(maxBytes)+" bytes together")
		return ""
	}
	return value
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

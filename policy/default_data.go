package policy

import (
	"slices"
	"strconv"
	"strings"
)

// decodeDefaultData reads `fallback.default_data`.
func decodeDefaultData(s *section) *DefaultData {
	if s == nil {
		return nil
	}
	data := &DefaultData{Status: int(s.whole("status", 200, 200, 599))}
	contentType := ""
	s.describe("body", "any JSON, or a string sent as it is", "empty")
	if v := s.find("body"); v != nil {
		if v.kind == text {
			data.Body, contentType = []byte(v.text), "text/plain; charset=utf-8"
		} else {
			data.Body, contentType = appendJSON(nil, v), "application/json"
		}
	}
	data.Headers = decodeDefaultHeaders(s)
	isType := func(header [2]string) bool { return header[0] == "content-type" }
	if len(data.Body) > 0 && !slices.ContainsFunc(data.Headers, isType) {
		data.Headers = append(data.Headers, [2]string{"content-type", contentType})
	}
	if noBody := data.Status == 204 || data.Status == 205 || data.Status == 304; noBody && len(data.Body) > 0 {
		s.mistake("body", "must be empty, because a response with status "+strconv.Itoa(data.Status)+" has no body")
	}
	s.end()
	return data
}

// decodeDefaultHeaders reads the object `headers`: names in any case, values as they are sent.
func decodeDefaultHeaders(s *section) [][2]string {
	s.describe("headers", "object of header names and strings", "content-type by the body")
	v := s.find("headers")
	if v == nil {
		return nil
	}
	inner := s.d.section(s.at("headers"), v)
	var headers [][2]string
	for i := range inner.members {
		m := &inner.members[i]
		name, problem := defaultHeader(m.name)
		switch {
		case m.value.broken:
			continue
		case problem != "":
		case m.value.kind != text:
			problem = "must be a string, got " + m.value.kind.String()
		case hasControl(strings.ReplaceAll(m.value.text, "\t", " ")): // RFC 9110, section 5.5
			problem = "must not have control characters"
		case slices.ContainsFunc(headers, func(h [2]string) bool { return h[0] == name }):
			problem = "is written twice, in another case; remove one"
		}
		if problem != "" {
			inner.mistake(m.name, problem)
			continue
		}
		headers = append(headers, [2]string{name, m.value.text})
	}
	return headers
}

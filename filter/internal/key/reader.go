package key

import (
	"strings"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/ascii"
	"github.com/weir-mesh/weir/policy/header"
)

// state is what is known of a part while a request's headers are read.
type state uint8

const (
	absent state = iota
	found
	ambiguous
)

// reader appends one part of a request after the other. It is kept from request to request, so that reading allocates
// nothing.
type reader struct {
	b     []byte // what is hashed
	part  *policy.KeyPart
	state state
	visit func(name, value string) bool // r.header
}

// read appends what a request has for one part of a key.
func (r *reader) read(part *policy.KeyPart, headers header.Headers, clientIP string) state {
	r.part, r.state = part, absent
	if part.Kind == policy.KeyClientIP {
		r.address(clientIP)
	} else {
		headers.All(r.visit)
	}
	return r.state
}

// header reads one header for the part. It returns false where no other header can matter.
func (r *reader) header(name, value string) (more bool) {
	switch r.part.Kind {
	case policy.KeyHeader:
		r.line(name, value)
	case policy.KeyMethod:
		if name == ":method" {
			r.b, r.state = append(r.b, value...), found
			return false
		}
	case policy.KeyPath:
		if name == ":path" {
			path, _, _ := strings.Cut(value, "?")
			r.b, r.state = appendDecoded(r.b, path, false), found
			return false
		}
	case policy.KeyQuery:
		if name == ":path" {
			_, query, _ := strings.Cut(value, "?")
			query, _, _ = strings.Cut(query, "#")
			r.pairs(query, '&', ';')
			return false
		}
	default: // KeyCookie; there may be several cookie headers (RFC 9113, section 8.2.3)
		if name == "cookie" {
			r.pairs(value, ';', ',')
		}
	}
	return r.state != ambiguous
}

// found notes that the part has a value, which the caller appends. A second one makes the part ambiguous.
func (r *reader) found() (first bool) {
	if r.state == absent {
		r.state = found
		return true
	}
	r.state = ambiguous
	return false
}

// line reads one header line. Several lines of a name, and one line with commas, are the same to a recipient (RFC 9110,
// section 5.3), and which of the values it takes differs.
func (r *reader) line(name, value string) {
	want := r.part.Name
	switch {
	case name != want:
		if alike(name, want) {
			r.state = ambiguous
		}
	case !r.found():
	case strings.IndexByte(value, ',') >= 0 && want != "user-agent": // no list: "(KHTML, like Gecko)"
		r.state = ambiguous
	case want == "authorization" || want == "proxy-authorization":
		r.credentials(value)
	default:
		r.b = append(r.b, trim(value)...)
	}
}

// credentials appends "bearer K", also for "Bearer  K": the case of the scheme and the number of spaces mean nothing
// (RFC 9110, section 11.4).
func (r *reader) credentials(value string) {
	value = trim(value)
	end := ascii.IndexAny(value, " \t")
	if end < 0 {
		end = len(value)
	}
	for i := range end {
		r.b = append(r.b, lower(value[i]))
	}
	r.b = append(append(r.b, ' '), trim(value[end:])...)
}

// trim removes the optional whitespace around a value (RFC 9110, section 5.6.3).
func trim(s string) string { return ascii.Trim(s, " \t") }

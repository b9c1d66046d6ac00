package redis

import (
	"errors"
	"strings"

	"github.com/weir-mesh/weir/policy/ascii"
)

// Kind is what is wrong with a response.
type Kind uint8

// The kinds of errors.
const (
	Malformed   Kind = iota + 1 // not a response of this dialect, or not a reply to this request
	TooLarge                    // more than MaxBody
	Unavailable                 // the bridge has no reply of Redis: a status other than 200
	NoScript                    // Redis does not know the script: its source is to be sent
	Refused                     // an error of Redis or the bridge, such as READONLY
)

func (k Kind) String() string {
	switch k {
	case Malformed:
		return "malformed"
	case TooLarge:
		return "too large"
	case Unavailable:
		return "unavailable"
	case NoScript:
		return "no script"
	case Refused:
		return "refused"
	default:
		return "unknown"
	}
}

// Error is a response without a usable result.
type Error struct {
	Kind   Kind
	Detail string // Redis's message, at most 200 bytes, or what is wrong
}

func (e *Error) Error() string { return "redis: " + e.Kind.String() + ": " + e.Detail }

// IsNoScript says whether the script's source must be sent.
func IsNoScript(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == NoScript
}

// unavailable is the error for a response without a reply of Redis. The first bytes of its body are the reason, where it
// has any: that of {"error":"…"}, which bridges send, or of a local reply of Envoy.
func unavailable(status int, body []byte) *Error {
	j := reader{b: body}
	why := ""
	r := j.outcome()
	if said, ok := errors.AsType[*Error](r.Err); ok && !j.bad {
		why = said.Detail
	} else {
		why = strings.ToValidUTF8(ascii.Trim(string(body[:min(len(body), maxDetail)]), ascii.Space), "\uFFFD")
	}
	if why != "" {
		why = ": " + why
	}
	return &Error{Unavailable, "status " + itoa(status) + why}
}

func malformed(detail string) *Error { return &Error{Malformed, detail} }

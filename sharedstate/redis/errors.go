package redis

import (
	"errors"
	"strings"
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
	var e *Error
	return errors.As(err, &e) && e.Kind == NoScript
}

// global are the errors with which Redis refuses to run a script, or to let it write, whatever its keys hold.
var global = [...]string{"READONLY", "OOM", "MISCONF", "NOREPLICAS", "MASTERDOWN", "NOPERM", "ACL"}

// IsOfRecord says whether the reply to one command shows that what the limit's keys hold is not Weir's: another type of
// key, or values that the script can't calculate with. The others that this Redis keeps are not concerned.
func IsOfRecord(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch {
	case e.Kind == Malformed:
		return true
	case e.Kind != Refused:
		return false
	case strings.Contains(e.Detail, "WRONGTYPE"):
		return true
	}
	for _, word := range global {
		if strings.Contains(e.Detail, word) {
			return false
		}
	}
	return strings.HasPrefix(e.Detail, "ERR") && strings.Contains(e.Detail, "script") // an error of Lua
}

func malformed(detail string) *Error { return &Error{Malformed, detail} }

package redis

import (
	"errors"
	"strconv"
)

// Kind says what is wrong with an answer.
type Kind uint8

// The kinds of errors.
const (
	Malformed   Kind = iota + 1 // not an answer of this dialect, or not one to what was asked
	TooLarge                    // more than MaxBody
	Unavailable                 // the bridge has no answer of Redis: a status other than 200
	NoScript                    // Redis does not know the script: send it
	Refused                     // Redis or the bridge says no, as in -READONLY
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

// Error is an answer that brings nothing.
type Error struct {
	Kind   Kind
	Detail string // what Redis said, at most 200 bytes
}

func (e *Error) Error() string { return "redis: " + e.Kind.String() + ": " + e.Detail }

// IsNoScript says whether the script must be sent by its source.
func IsNoScript(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == NoScript
}

func unavailable(status int) *Error { return &Error{Unavailable, "status " + strconv.Itoa(status)} }

func malformed(detail string) *Error { return &Error{Malformed, detail} }

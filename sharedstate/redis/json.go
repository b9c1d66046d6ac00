package redis

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

const (
	maxInts   = 64  // numbers in one result; a script replies with 8
	maxDetail = 200 // bytes of an error's text that are kept
)

var errNotAResult = errors.New("redis: not a number, a text or an array of at most 64 whole numbers")

// UnmarshalJSON reads a text, a whole number, or an array of whole numbers. Anything else is an error.
func (r *Result) UnmarshalJSON(b []byte) (err error) {
	switch b[0] {
	case '"':
		return json.Unmarshal(b, &r.Status)
	case '[':
		r.Ints, err = wholeNumbers(bytes.TrimSpace(b[1 : len(b)-1]))
	default:
		r.Ints, err = wholeNumbers(b)
	}
	return err
}

// wholeNumbers reads the elements of a JSON array. The decoder has checked before that they are JSON, so what ParseInt
// takes is a whole number, and what it doesn't take is null, a fraction, a text, or a part of a nested array.
func wholeNumbers(elements []byte) (ints []int64, err error) {
	if len(elements) == 0 {
		return nil, nil
	}
	ints = make([]int64, 0, replyLen)
	for e := range bytes.SplitSeq(elements, []byte(",")) {
		n, err := strconv.ParseInt(string(bytes.TrimSpace(e)), 10, 64)
		if err != nil || len(ints) == maxInts {
			return nil, errNotAResult
		}
		ints = append(ints, n)
	}
	return ints, nil
}

// redisError is an error that Redis replied with. Its first word is its kind.
func redisError(text string) error {
	text = strings.ToValidUTF8(text[:min(len(text), maxDetail)], "\uFFFD")
	kind := Refused
	if strings.HasPrefix(text, "NOSCRIPT") {
		kind = NoScript
	}
	return &Error{kind, text}
}

func bodyError(status int, body []byte) error {
	switch {
	case len(body) > MaxBody:
		return &Error{TooLarge, strconv.Itoa(len(body)) + " bytes"}
	case status < 100 || status > 599:
		return malformed("no status")
	default:
		return nil
	}
}

package policy

import (
	"math"
	"strconv"

	"github.com/weir-mesh/weir/policy/ascii"
	"github.com/weir-mesh/weir/policy/decimal"
)

// between is the range of a number. An open end is excluded.
type between struct {
	low, high         float64
	openLow, openHigh bool
}

func (b between) String() string {
	low, high := numberText(b.low), numberText(b.high)
	if b.openLow {
		low = "above " + low
	}
	if b.openHigh {
		high = "below " + high
	}
	return low + " to " + high
}

// problem says why n is out of range; "" if it is within.
func (b between) problem(n float64) string {
	var must string
	switch {
	case b.openLow && n <= b.low:
		must = "above " + numberText(b.low)
	case n < b.low:
		must = "at least " + numberText(b.low)
	case b.openHigh && n >= b.high:
		must = "below " + numberText(b.high)
	case n > b.high:
		must = "at most " + numberText(b.high)
	default:
		return ""
	}
	return "must be " + must + ", got " + numberText(n)
}

// number reads a number with a fraction.
func (s *section) number(name string, fallback float64, b between) float64 {
	note := ""
	if s.describes() {
		note = numberText(fallback)
	}
	if n, ok := s.optionalNumber(name, note, b); ok {
		return n
	}
	return fallback
}

// optionalNumber reads a number without a default, or with one that note explains.
func (s *section) optionalNumber(name, note string, b between) (float64, bool) {
	if s.describes() {
		s.describe(name, "number, "+b.String(), note)
	}
	return s.inRange(name, s.find(name), b)
}

// whole reads a whole number from low to high.
func (s *section) whole(name string, fallback, low, high int64) int64 {
	note := ""
	if s.describes() {
		note = strconv.FormatInt(fallback, 10)
	}
	if n, ok := s.optionalWhole(name, note, low, high); ok {
		return n
	}
	return fallback
}

// optionalWhole reads a whole number without a default, or with one that note explains.
func (s *section) optionalWhole(name, note string, low, high int64) (int64, bool) {
	b := between{low: float64(low), high: float64(high)}
	if s.describes() {
		s.describe(name, "whole number, "+b.String(), note)
	}
	n, ok := s.inRange(name, s.find(name), b)
	if ok && n != math.Trunc(n) {
		s.mistake(name, "must be a whole number, got "+numberText(n))
		return 0, false
	}
	return int64(n), ok
}

// inRange returns v as a number, or notes what is wrong with it.
func (s *section) inRange(name string, v *value, b between) (float64, bool) {
	if v == nil {
		return 0, false
	}
	n := v.number
	if v.kind == text {
		var numeric bool
		n, numeric = parseNumber(v.text)
		switch {
		case !numeric:
			s.mistake(name, "must be a number, got "+v.got())
			return 0, false
		case !v.mayBeNumber():
			s.mistake(name, "must be a number, got the string "+quote(v.text)+"; remove the quotes")
			return 0, false
		}
	} else if v.kind != number {
		s.mistake(name, "must be a number, got "+v.kind.String())
		return 0, false
	}
	if problem := b.problem(n); problem != "" {
		s.mistake(name, problem)
		return 0, false
	}
	return n, true
}

// parseNumber reads decimal digits with an optional fraction and exponent, with white space around them. A number out of float64's
// range is infinite.
func parseNumber(s string) (float64, bool) { return decimal.Parse(ascii.Trim(s, ascii.Space)) }

// looksFractional reports whether a Struct's text looks like a number that is not whole. Envoy's YAML loader makes only
// whole numbers and passes 1.67 on as the string "1.67" (ValueUtil::loadFromYaml; seen in Envoy 1.40), so such a text
// is read as a number.
func looksFractional(s string) bool {
	if _, numeric := parseNumber(s); !numeric {
		return false
	}
	if s[0] == '-' || s[0] == '+' { // as in strconv.ParseInt
		s = s[1:]
	}
	n, whole := decimal.Whole(s)
	return !whole || n > math.MaxInt64
}

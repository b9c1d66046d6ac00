package retry

import (
	"strings"
	"time"
)

// longestAfter is what a Retry-After is held to, in seconds: 68 years, as RFC 9111 does with delta-seconds.
const longestAfter = 1 << 31

// dateForms are those of an HTTP-date (RFC 9110, section 5.6.7). IMF-fixdate is what is sent; the others are obsolete,
// and still to be read.
var dateForms = [...]string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC}

// After reads a Retry-After header (RFC 9110, section 10.2.3): seconds, or a date. Wall is the time in seconds since
// 1970. A date that is over asks for no wait, which is ok. Anything else is not: a fraction, a sign, two values.
func After(value string, wall int64) (wait time.Duration, ok bool) {
	value = strings.Trim(value, " \t")
	seconds, ok := deltaSeconds(value)
	if !ok {
		var at int64
		at, ok = date(value)
		seconds = at - wall
	}
	if !ok {
		return 0, false
	}
	return time.Duration(min(max(seconds, 0), longestAfter)) * time.Second, true
}

func deltaSeconds(s string) (seconds int64, ok bool) {
	if s == "" {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		seconds = min(seconds*10+int64(s[i]-'0'), longestAfter)
	}
	return seconds, true
}

// date reads an HTTP-date as seconds since 1970.
func date(s string) (at int64, ok bool) {
	if len(s) < 24 || len(s) > 33 { // of the shortest and the longest form
		return 0, false
	}
	for _, form := range dateForms {
		if t, err := time.Parse(form, s); err == nil {
			return t.Unix(), true
		}
	}
	return 0, false
}

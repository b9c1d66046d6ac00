package retry

import (
	"time"

	"github.com/weir-mesh/weir/policy/ascii"
	"github.com/weir-mesh/weir/policy/httpdate"
)

// longestAfter is what a Retry-After is clamped to, in seconds: 68 years, as delta-seconds in RFC 9111.
const longestAfter = 1 << 31

// ParseRetryAfter reads a Retry-After header (RFC 9110, section 10.2.3): seconds or a date. wall is the time in seconds
// since 1970. A date in the past is a wait of 0. Anything else is not ok: a fraction, a sign, two values.
func ParseRetryAfter(value string, wall int64) (wait time.Duration, ok bool) {
	value = ascii.Trim(value, " \t")
	seconds, ok := deltaSeconds(value)
	if !ok {
		var at int64
		at, ok = httpdate.Parse(value, wall)
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

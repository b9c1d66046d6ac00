package retry

import (
	"strings"
	"time"

	"github.com/weir-mesh/weir/policy/httpdate"
)

// longestAfter is what a Retry-After is held to, in seconds: 68 years, as RFC 9111 does with delta-seconds.
const longestAfter = 1 << 31

// After reads a Retry-After header (RFC 9110, section 10.2.3): seconds, or a date. Wall is the time in seconds since
// 1970. A date that is over asks for no wait, which is ok. Anything else is not: a fraction, a sign, two values.
func After(value string, wall int64) (wait time.Duration, ok bool) {
	value = strings.Trim(value, " \t")
	seconds, ok := deltaSeconds(value)
	if !ok {
		var at int64
		at, ok = httpdate.Parse(value)
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

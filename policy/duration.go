package policy

import (
	"math"
	"strconv"
	"time"
)

// The bounds that most durations share. Below a millisecond Envoy's own timers say nothing; above a day a limit or
// a breaker outlives the process that it is kept in.
const (
	shortest = time.Millisecond
	longest  = 24 * time.Hour
)

// parseDuration reads a duration: a string as time.ParseDuration takes it ("300ms", "1m30s"), or a number of
// seconds. A string made by substitution may be the number, too. One that no time.Duration can hold (292 years) is
// answered as the largest there is, or the smallest.
func parseDuration(v *value) (answer time.Duration, problem string) {
	const shape = `must be a duration such as "300ms", "60s" or "1h", or a number of seconds, got `
	switch v.kind {
	case number:
		return seconds(v.number), ""
	case text:
		if n, ok := parseNumber(v.text); ok {
			if v.mayBeNumber() {
				return seconds(n), ""
			}
			return 0, shape + quote(v.text) + "; drop the quotes or add a unit"
		}
		answer, err := time.ParseDuration(v.text)
		if err != nil {
			return 0, shape + quote(v.text)
		}
		return answer, ""
	default:
		return 0, shape + v.kind.String()
	}
}

// seconds makes a duration of a number of seconds, rounded to the nanosecond.
func seconds(n float64) time.Duration {
	nanoseconds := math.Round(n * float64(time.Second))
	switch {
	case nanoseconds >= math.MaxInt64:
		return math.MaxInt64
	case nanoseconds <= math.MinInt64:
		return math.MinInt64
	}
	return time.Duration(nanoseconds)
}

// durationText writes a duration in the one unit that fits it, as documents do: 60s, not 1m0s.
func durationText(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "h"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if d%unit.size == 0 && (d != 0 || unit.size == time.Second) {
			return strconv.FormatInt(int64(d/unit.size), 10) + unit.name
		}
	}
	return d.String()
}

package policy

import (
	"math"
	"strconv"
	"time"
)

// The bounds of most durations. Envoy's timers have no finer resolution than a millisecond; a limit or a breaker is
// kept in a process, which seldom lives longer than a day.
const (
	shortest = time.Millisecond
	longest  = 24 * time.Hour
)

// parseDuration reads a duration: a string as time.ParseDuration takes it ("300ms", "1m30s"), or a number of
// seconds. A string made by substitution may be the number, too. One beyond the range of time.Duration (292 years) is
// clamped to it.
func parseDuration(v *value) (d time.Duration, problem string) {
	const shape = `must be a duration such as "300ms", "60s" or "1h", or a number of seconds, got `
	switch v.kind {
	case number:
		return seconds(v.number), ""
	case text:
		if n, ok := parseNumber(v.text); ok {
			if v.mayBeNumber() {
				return seconds(n), ""
			}
			return 0, shape + quote(v.text) + "; remove the quotes or add a unit"
		}
		d, err := time.ParseDuration(v.text)
		if err != nil {
			return 0, shape + quote(v.text)
		}
		return d, ""
	default:
		return 0, shape + v.kind.String()
	}
}

// seconds converts a number of seconds to a duration, rounded to the nanosecond.
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

// durationText writes a duration in one unit, as documents do: 60s, not 1m0s.
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

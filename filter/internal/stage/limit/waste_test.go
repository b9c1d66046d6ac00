package limit_test

import (
	"testing"
	"time"

	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// TestLeasesOfABucketWasteLittle has one worker ask for less than a bucket gets, for ten minutes: it stays nearly full.
func TestLeasesOfABucketWasteLittle(t *testing.T) {
	const ms = int64(time.Millisecond)
	for _, tc := range []struct {
		name  string
		burst int // requests at once, every second
		rate  float64
		beat  int64 // after them
	}{
		{"one a second, after many", 1, 2, 500 * ms},
		{"nine a second", 9, 9.5, 500 * ms},
		{"eleven a second, given back late", 11, 11.5, 990 * ms},
	} {
		l := ratelimit.NewTokenBucket(2000, tc.rate)
		w := newLeasing(sharedstate.NewMemory(), l)
		now := 100 * second
		w.ask(50, now, ms/10)
		if err := w.leases.Heartbeat(now + tc.beat); err != nil {
			t.Fatal(err)
		}
		remaining := int64(0)
		for range 600 {
			now += second
			var admitted int
			if admitted, remaining = w.ask(tc.burst, now, ms/10); admitted != tc.burst {
				t.Fatalf("%s: got %d admitted, want %d", tc.name, admitted, tc.burst)
			}
			if err := w.leases.Heartbeat(now + tc.beat); err != nil {
				t.Fatal(err)
			}
		}
		if remaining < 1900 {
			t.Errorf("%s: got %d of 2000 remaining, want at least 1900", tc.name, remaining)
		}
	}
}

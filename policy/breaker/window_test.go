package breaker

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// call is a call as the plain models keep it.
type call struct {
	at  int64
	bad bool
}

// reached is the plain rule: at least so many calls, and a share of so many bad ones.
func (r *Rate) reached(calls []call) bool {
	bad := 0
	for _, c := range calls {
		if c.bad {
			bad++
		}
	}
	return len(calls) >= int(r.MinCalls) && float64(bad)/float64(len(calls)) >= r.Threshold
}

// noOlderThan is the calls of the last while, up to this age.
func noOlderThan(calls []call, age, now int64) (young []call) {
	for _, c := range calls {
		if now-c.at <= age {
			young = append(young, c)
		}
	}
	return young
}

// noEarlierThan is what a window of whole buckets counts: all calls but those of eleven or more buckets ago.
func noEarlierThan(calls []call, width, now int64) (kept []call) {
	for _, c := range calls {
		if c.at/width > now/width-Buckets {
			kept = append(kept, c)
		}
	}
	return kept
}

func anyRate(t *rapid.T) *Rate {
	return &Rate{
		Threshold: rapid.SampledFrom([]float64{0.01, 0.07, 0.25, 0.5, 0.8, 1}).Draw(t, "threshold"),
		Window: rapid.SampledFrom([]time.Duration{
			1, 19, 100 * time.Millisecond, 333333333, time.Second, 3 * time.Second, 30 * time.Second,
		}).Draw(t, "window"),
		MinCalls: uint32(rapid.IntRange(1, 20).Draw(t, "min_calls")),
	}
}

// TestWindowPromise checks a window against the times of all calls: each counts while it is no older than the
// window, none when it is eleven tenths old. So it reaches its rate when the share is high enough over each while of
// that length, never when it is over none, and between, exactly when its buckets say so.
func TestWindowPromise(t *testing.T) {
	reached, between := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		r := anyRate(t)
		var w Window
		var calls []call
		now := rapid.Int64Range(0, 1e15).Draw(t, "begin")
		badness := rapid.Float64Range(0, 1).Draw(t, "badness")
		for range rapid.IntRange(1, 150).Draw(t, "calls") {
			now += rapid.OneOf(
				rapid.Int64Range(0, int64(r.Window)/10),
				rapid.Int64Range(0, int64(r.Window)),
				rapid.Int64Range(0, 3*int64(r.Window)),
			).Draw(t, "pass")
			c := call{at: now, bad: rapid.Float64Range(0, 1).Draw(t, "bad") < badness}
			w.add(r.width(), c.bad, now)
			calls = append(calls, c)
			got := w.reaches(r)

			if want := r.reached(noEarlierThan(calls, r.width(), now)); got != want {
				t.Fatalf("reaches = %v, want %v by the calls of the buckets: %+v", got, want, w)
			}
			all, none := r.reached(noOlderThan(calls, int64(r.Window), now)), true
			if all {
				none = false
			}
			for _, c := range calls {
				if age := now - c.at; age > int64(r.Window) && age < Buckets*r.width() {
					if r.reached(noOlderThan(calls, age, now)) {
						none = false
					} else {
						all = false
					}
				}
			}
			if (all && !got) || (none && got) {
				t.Fatalf("reaches = %v, want true if in each time span (%v), false if in none (%v)", got, all, none)
			}
			if got {
				reached++
			}
			if !all && !none {
				between++
			}
		}
	})
	if reached == 0 || between == 0 {
		t.Fatalf("the draws are too weak: reached %d times, %d times in some but not all time spans, want both", reached, between)
	}
}

func TestWindowClock(t *testing.T) {
	r := &Rate{Threshold: 1, Window: 10 * time.Second, MinCalls: 1}
	small := &Rate{Threshold: 1, Window: 10 * time.Millisecond, MinCalls: 1}
	type add struct {
		rate *Rate
		at   int64
		want uint64 // calls counted then
	}
	for _, tc := range []struct {
		name string
		adds []add
	}{
		{"a reading a little back counts in the newest bucket", []add{{r, 100 * second, 1}, {r, 100*second - 5000, 2}, {r, 110*second + 999*ms, 3}, {r, 111 * second, 2}}},
		{"and so does one that is many small buckets back", []add{{small, 100 * second, 1}, {small, 100*second - 900*ms, 2}, {small, 100*second + 10*ms, 3}, {small, 100*second + 11*ms, 2}}},
		{"a jump ahead empties", []add{{r, 100 * second, 1}, {r, 111 * second, 1}, {r, 1e6 * second, 1}, {r, 1e6 * second, 2}}},
		{"a bucket that is far ahead is not of this clock", []add{{r, 100 * second, 1}, {r, 98 * second, 1}}},
		{"the clock's first second", []add{{r, 0, 1}, {r, 1, 2}, {r, second, 3}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var w Window
			for i, a := range tc.adds {
				w.add(a.rate.width(), false, a.at)
				if calls, _ := w.sum(); calls != a.want {
					t.Fatalf("add %d at %d: got %d calls, want %d: %+v", i, a.at, calls, a.want, w)
				}
			}
		})
	}
}

// TestShareIsExact goes through all shares of up to 100 calls, at the threshold that a policy writes for each.
func TestShareIsExact(t *testing.T) {
	for hundredths := 1; hundredths <= 100; hundredths++ {
		r := &Rate{Threshold: float64(hundredths) / 100, Window: time.Second, MinCalls: 100}
		w := Window{Buckets: [Buckets]Bucket{{Calls: 100, Bad: uint32(hundredths)}}}
		if !w.reaches(r) {
			t.Errorf("%d of 100, threshold %g: got not reached, want reached", hundredths, r.Threshold)
		}
		w.Buckets[0].Bad--
		if w.reaches(r) {
			t.Errorf("%d of 100, threshold %g: got reached, want not", hundredths-1, r.Threshold)
		}
	}
}

func TestFullBucketStays(t *testing.T) {
	r := &Rate{Threshold: 1, Window: 10 * time.Second, MinCalls: 1}
	full := Bucket{Calls: math.MaxUint32, Bad: 7}
	w := Window{Width: second}
	w.Buckets[0] = full
	w.add(r.width(), true, 0)
	if w.Buckets[0] != full {
		t.Fatalf("got %+v, want %+v", w.Buckets[0], full)
	}
}

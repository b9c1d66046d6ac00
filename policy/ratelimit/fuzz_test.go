package ratelimit

import (
	"testing"
	"time"

	"github.com/weir-mesh/weir/policy/packed"
)

func fuzzed() []*Limiter {
	c := AdaptiveConfig{Threshold: 0.8, Backoff: 0.7, Recovery: 1.2, Interval: time.Second, MinSamples: 2}
	return []*Limiter{
		NewTokenBucket(20, 1.67),
		NewSlidingWindow(1, time.Second), NewSlidingWindow(7, time.Minute), NewSlidingWindow(512, 24*time.Hour),
		NewSlidingWindow(513, time.Second), NewSlidingWindow(10_000_000, time.Hour),
		NewAdaptive(9, time.Minute, c), NewAdaptive(2000, time.Second, c),
	}
}

// FuzzState takes any bytes as a state. First as they come: Usable decides, and what it lets through must be bearable.
// Then with the check made right, which gets all that the check can't tell past it: torn entries above all.
func FuzzState(f *testing.F) {
	for i, l := range fuzzed() {
		state := fresh(l)
		f.Add(byte(i), state, hour, int64(1))
		l.Take(state, hour, 3)
		l.Outcome(state, false, hour)
		f.Add(byte(i), state, hour+second, int64(2))
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte, now, n int64) {
		all := fuzzed()
		l := all[int(which)%len(all)]
		bear(t, l, data, now, n)
		sealed := make([]byte, l.Size())
		copy(sealed, data)
		sealed[0], sealed[atKind], sealed[atAdaptive], sealed[3] = stateVersion, l.kind, 0, 0
		if l.adaptive != nil {
			sealed[atAdaptive] = 1
		}
		packed.PutI64(sealed, atLimit, l.limit)
		packed.PutI64(sealed, atWindow, l.window)
		l.seal(sealed)
		bear(t, l, sealed, now, n)
	})
}

func bear(t *testing.T, l *Limiter, state []byte, now, n int64) {
	for _, other := range fuzzed() {
		adopted := make([]byte, other.Size())
		other.Adopt(adopted, state, now)
		if !other.Usable(adopted) {
			t.Fatalf("adopted %x: not usable: %x", state, adopted)
		}
	}
	if !l.Usable(state) {
		return
	}
	l.Idle(state, now)
	if limit, used := l.Current(state, now); limit < 1 || used < 0 {
		t.Fatalf("Current: %d of %d", used, limit)
	}
	if ratio, known := l.SuccessRatio(state); known && (ratio < 0 || ratio > 1) {
		t.Fatalf("SuccessRatio: %g", ratio)
	}
	for i := range int64(4) {
		take(t, l, state, clampTime(now)+i*i*l.window/3, n)
		l.Outcome(state, i%2 == 0, now)
		if !l.Usable(state) {
			t.Fatalf("an outcome left %x", state)
		}
	}
	// Whatever it held, it is over a window later, and a day later it is a fresh one.
	last := clampTime(now)
	if l.kind != kindBucket {
		last = max(last, packed.I64(state, atLast), packed.I64(state, atLast)+l.window)
		if last > longest-2*l.window {
			return
		}
		last += 2 * l.window
		if limit, used := l.Current(state, last); used != 0 || !l.Take(append([]byte(nil), state...), last, limit).Admitted {
			t.Fatalf("two windows later %d of %d are used", used, limit)
		}
	}
}

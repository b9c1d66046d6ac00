package ratelimit

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestTwoConfigurationsOfOneCount asks two limits in turn, 60 times each within a second: each admits while the shared
// count is below its own number.
func TestTwoConfigurationsOfOneCount(t *testing.T) {
	c := AdaptiveConfig{Threshold: 0.5, Backoff: 0.5, Recovery: 2, Interval: time.Hour, MinSamples: 1}
	minute := time.Minute
	for _, tc := range []struct {
		name         string
		a, b         *Limiter
		wantA, wantB int
	}{
		{"windows of 5 and 50", NewSlidingWindow(5, minute), NewSlidingWindow(50, minute), 3, 47},
		{"50 first", NewSlidingWindow(50, minute), NewSlidingWindow(5, minute), 48, 2},
		{"a shorter window", NewSlidingWindow(5, minute), NewSlidingWindow(50, 10*minute), 3, 47},
		{"a log and sub-windows", NewSlidingWindow(5, minute), NewSlidingWindow(600, minute), 3, 60},
		{"sub-windows and a log", NewSlidingWindow(600, minute), NewSlidingWindow(50, minute), 60, 25},
		{"sub-windows of two lengths", NewSlidingWindow(600, minute), NewSlidingWindow(700, 7*minute), 60, 60},
		{"buckets of 5 and 50", NewTokenBucket(5, 0.001), NewTokenBucket(50, 0.001), 3, 47},
		{"a bucket and a window", NewTokenBucket(5, 0.001), NewSlidingWindow(50, minute), 3, 47},
		{"adaptive", NewAdaptive(5, minute, c), NewAdaptive(50, minute, c), 3, 47},
		{"adaptive and a window of the same numbers", NewAdaptive(50, minute, c), NewSlidingWindow(50, minute), 25, 25},
		{"the same numbers", NewSlidingWindow(50, minute), NewSlidingWindow(50, minute), 25, 25},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := NewViews(tc.a), NewViews(tc.b)
			shared := bytes.Clone(b.Open(a.Open(nil, hour), hour)) // both are there before the first request
			var gotA, gotB int
			for i := range int64(60) {
				now := hour + i*1e7
				shared = ask(a, shared, now, &gotA)
				shared = ask(b, shared, now, &gotB)
			}
			if gotA != tc.wantA || gotB != tc.wantB {
				t.Errorf("got %d and %d admitted, want %d and %d", gotA, gotB, tc.wantA, tc.wantB)
			}
		})
	}
}

// ask asks once, and stores what the verdict says.
func ask(v *Views, shared []byte, now int64, admitted *int) []byte {
	all := v.Open(bytes.Clone(shared), now)
	verdict := v.Take(now, 1)
	if verdict.Admitted {
		*admitted++
	}
	if verdict.Store {
		return bytes.Clone(all)
	}
	return shared
}

// TestViewsEqualOneLimiterEach holds two configurations that share a count to a model: each is as if its own limiter had
// seen all requests that either admitted, and those alone.
func TestViewsEqualOneLimiterEach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limiter := func(name string) *Limiter {
			limit := rapid.SampledFrom([]int64{1, 3, 20, 513, 600}).Draw(t, name+" limit")
			window := time.Duration(rapid.IntRange(1, 5).Draw(t, name+" window")) * time.Second
			if rapid.Bool().Draw(t, name+" bucket") {
				return NewTokenBucket(limit, rapid.Float64Range(0.1, 100).Draw(t, name+" rate"))
			}
			return NewSlidingWindow(limit, window)
		}
		own := []*Limiter{limiter("a"), limiter("b")}
		views := []*Views{NewViews(own[0]), NewViews(own[1])}
		now := hour
		shared := bytes.Clone(views[1].Open(views[0].Open(nil, now), now))
		var admitted []int64
		level := []float64{float64(own[0].limit) / 1e9, float64(own[1].limit) / 1e9} // of buckets
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			passed := rapid.SampledFrom([]int64{0, 0, 0, 1e6, 1e8, 9e8, 2e9}).Draw(t, "passed")
			now += passed
			for i, l := range own {
				if l.kind == kindBucket {
					level[i] = min(level[i]+float64(passed)*float64(l.bucket.rate)/1e15, float64(l.bucket.Burst()))
				}
			}
			i, n := rapid.IntRange(0, 1).Draw(t, "who"), rapid.SampledFrom([]int64{1, 1, 2, 15}).Draw(t, "n")
			all := views[i].Open(bytes.Clone(shared), now)
			v := views[i].Take(now, n)
			if v.Store {
				shared = bytes.Clone(all)
			}
			l := own[i]
			may, must := false, false
			if l.kind == kindBucket {
				may, must = level[i] >= float64(n)-1e-5, level[i] >= float64(n)+1e-5
			} else {
				slack := ceilDiv(l.window, 1<<30)
				if l.kind == kindSubWindows {
					slack = l.window/64 + 1
				}
				may = since(admitted, now-l.window)+n <= l.limit
				must = since(admitted, now-l.window-slack)+n <= l.limit
			}
			if v.Admitted && !may || !v.Admitted && must {
				t.Fatalf("at %v: %s admits %d: got %v, want may %v, must %v", time.Duration(now-hour), describe(l), n, v.Admitted, may, must)
			}
			if v.Admitted {
				for range n {
					admitted = append(admitted, now)
				}
				for j := range level {
					level[j] = max(level[j]-float64(n), 0)
				}
			}
		}
	})
}

func describe(l *Limiter) string {
	q, w := l.Quota()
	return fmt.Sprintf("kind %d, %d in %v", l.kind, q, w)
}

// since is how many were admitted after a time.
func since(admitted []int64, after int64) (n int64) {
	for _, at := range admitted {
		if at > after {
			n++
		}
	}
	return n
}

// TestViewsThatAreNotUsedAreDropped: after a reload the state of the old numbers goes, and the bytes are those of a limit
// that never shared.
func TestViewsThatAreNotUsedAreDropped(t *testing.T) {
	before, after := NewViews(NewSlidingWindow(5, time.Minute)), NewViews(NewSlidingWindow(50, time.Minute))
	n := 0
	shared := ask(before, nil, hour, &n)
	for _, tc := range []struct {
		at   int64 // seconds
		want int   // bytes
	}{{1, 64 + 240}, {15 * 60, 64 + 240}, {17 * 60, 240}, {18 * 60, 240}} {
		shared = ask(after, shared, hour+tc.at*second, &n)
		if len(shared) != tc.want {
			t.Errorf("at %d s: got %d bytes, want %d", tc.at, len(shared), tc.want)
		}
	}
	if l := NewSlidingWindow(50, time.Minute); !l.Usable(shared) || shared[atUsedMinute] != 0 {
		t.Errorf("got %x, want a single state as a limit writes it that shares with none", shared[:40])
	}
}

// TestViewsAreBounded: more configurations than there is room for take the place of the one that was not used for the
// longest time.
func TestViewsAreBounded(t *testing.T) {
	var shared []byte
	n := 0
	for i := range int64(10) {
		shared = ask(NewViews(NewSlidingWindow(100+2*i, time.Minute)), shared, hour+i*minute/2, &n)
	}
	size := 0
	for i := int64(6); i < 10; i++ {
		size += NewSlidingWindow(100+2*i, time.Minute).Size()
	}
	if len(shared) != size || n != 10 {
		t.Errorf("got %d bytes, %d admitted, want %d, the states of the last 4, and 10", len(shared), n, size)
	}
}

// TestALimitThatJoinsIsFull: what was admitted before counts, and the refusal is stored, so that the next one does not
// adopt it again.
func TestALimitThatJoinsIsFull(t *testing.T) {
	b, a := NewViews(NewSlidingWindow(50, time.Minute)), NewViews(NewSlidingWindow(5, time.Minute))
	var gotA, gotB int
	var shared []byte
	for range 7 {
		shared = ask(b, shared, hour, &gotB)
	}
	shared = ask(a, shared, hour+1, &gotA)
	if gotA != 0 || !a.Has(shared) || !b.Has(shared) {
		t.Errorf("got %d admitted, states of a and b %v, %v, want 0, true, true", gotA, a.Has(shared), b.Has(shared))
	}
}

// TestViewsOfTornBytes: what follows a torn state is dropped, and the own one is fresh if it is among it.
func TestViewsOfTornBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := NewViews(NewSlidingWindow(5, time.Minute)), NewViews(NewTokenBucket(50, 1))
		shared := bytes.Clone(b.Open(a.Open(nil, hour), hour))
		at := rapid.IntRange(0, len(shared)-1).Draw(t, "at")
		shared[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		shared = shared[:rapid.IntRange(0, len(shared)).Draw(t, "length")]
		for _, v := range []*Views{a, b} {
			v.Idle(bytes.Clone(shared), hour)
			all := v.Open(bytes.Clone(shared), hour)
			if v.Take(hour, 1); !v.Has(all) {
				t.Fatalf("Open(%x): got no state of its own", shared)
			}
		}
	})
}

// TestOutcomesReachAllAdaptiveStates: a limit that only saw the other's failures is lowered by its first own one.
func TestOutcomesReachAllAdaptiveStates(t *testing.T) {
	c := AdaptiveConfig{Threshold: 0.5, Backoff: 0.5, Recovery: 2, Interval: time.Second, MinSamples: 10}
	slow := c
	slow.Interval = time.Hour
	la, lb := NewAdaptive(100, time.Minute, c), NewAdaptive(50, time.Minute, slow)
	a, b := NewViews(la), NewViews(lb)
	shared := bytes.Clone(b.Open(a.Open(nil, hour), hour))
	for i := range int64(20) {
		shared = b.Open(shared, hour+i)
		b.Take(hour+i, 1)
		b.Outcome(false, hour+i)
	}
	shared = a.Open(shared, hour+2*second)
	a.Outcome(false, hour+2*second)
	limitA, _ := la.Current(a.State(), hour+2*second)
	b.Open(shared, hour+2*second)
	limitB, _ := lb.Current(b.State(), hour+2*second)
	if limitA != 50 || limitB != 50 {
		t.Errorf("got limits %d of 100 and %d of 50, want 50 (lowered once) and 50 (its interval is an hour)", limitA, limitB)
	}
}

func TestViewsAllocateNothing(t *testing.T) {
	a, b := NewViews(NewSlidingWindow(5, time.Minute)), NewViews(NewTokenBucket(50, 1))
	shared := bytes.Clone(b.Open(a.Open(nil, hour), hour))
	now := hour
	got := testing.AllocsPerRun(100, func() {
		now += 1e6
		for _, v := range []*Views{a, b} {
			v.Open(shared, now)
			v.Take(now, 1)
			v.Idle(shared, now)
		}
	})
	if got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

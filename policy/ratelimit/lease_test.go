package ratelimit

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/policy/fixedpoint"
)

// leaseholder is a worker that uses leases.
type leaseholder struct {
	held Lease
	size int64
}

// ask is a request of this worker at time now.
func (w *leaseholder) ask(l *Limiter, state []byte, now int64) (admitted bool) {
	if w.held.Left > 0 && now < w.held.Until {
		w.held.Left--
		return true
	}
	l.Return(state, w.held, now)
	var v Verdict
	v, w.held = l.TakeLease(state, now, w.size)
	return v.Admitted
}

// TestLeasesAdmitNeverTooMany has workers that lease from one state, give back, lose what they have, and ask at random times.
func TestLeasesAdmitNeverTooMany(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l *Limiter
		var pace int64 // nanoseconds from request to request, where all of the limit is used
		burst, rate := rapid.Int64Range(1, 3000).Draw(t, "limit"), rapid.Int64Range(1, 20000).Draw(t, "rate")
		window := time.Duration(rapid.Int64Range(1e6, 2e9).Draw(t, "window"))
		bucket := rapid.Bool().Draw(t, "bucket")
		if bucket {
			l, pace = NewTokenBucket(burst, float64(rate)), int64(time.Second)/rate
		} else {
			l, pace = NewSlidingWindow(burst, window), int64(window)/burst
		}
		workers := make([]leaseholder, rapid.IntRange(1, 4).Draw(t, "workers"))
		state := make([]byte, l.Size())
		l.Reset(state)
		now := int64(time.Hour)
		var admitted []use
		for range rapid.IntRange(1, 40).Draw(t, "phases") {
			step := rapid.SampledFrom([]int64{0, pace / 8, pace, pace * 4}).Draw(t, "step")
			w := &workers[rapid.IntRange(0, len(workers)-1).Draw(t, "worker")]
			w.size = rapid.Int64Range(1, 200).Draw(t, "size")
			switch rapid.IntRange(0, 9).Draw(t, "event") {
			case 0: // it crashes
				w.held = Lease{}
			case 1: // it gives back
				l.Return(state, w.held, now)
				w.held = Lease{}
			case 2:
				now += rapid.Int64Range(0, int64(window)).Draw(t, "pause")
			case 3:
				now += max(w.held.Until-now, 0) // just after the end of its lease
			}
			for range rapid.IntRange(1, 400).Draw(t, "requests") {
				now += step
				if w.ask(l, state, now) {
					admitted = append(admitted, use{now, 1})
				}
			}
		}
		if !l.Usable(state) {
			t.Fatalf("the state is not usable: %x", state)
		}
		if bucket {
			promisedOfBucket(t, admitted, burst, rate)
		} else {
			promised(t, admitted, int64(window), burst)
		}
	})
}

// promisedOfBucket fails if some interval of length T has more than burst + rate x T admissions: if a bucket that is filled
// at exactly these times ever lacks one.
func promisedOfBucket(t *rapid.T, admissions []use, burst, rate int64) {
	level, last := burst*fixedpoint.Nano, int64(0)
	for _, a := range admissions {
		if passed := a.at - last; passed > int64(time.Hour)/2 {
			level = burst * fixedpoint.Nano
		} else {
			level = min(level+passed*rate, burst*fixedpoint.Nano)
		}
		last = a.at
		if level -= a.n * fixedpoint.Nano; level < 0 {
			t.Fatalf("at %d: %d nano-tokens too many", a.at, -level)
		}
	}
}

// TestLeasesWasteLittle has two workers that ask for more than the limit, for less, and by turns.
func TestLeasesWasteLittle(t *testing.T) {
	for _, tc := range []struct {
		name    string
		limiter *Limiter
		perSec  int64   // requests
		share   float64 // of the first worker
		want    int64   // in the second second
		least   int64
	}{
		{"bucket, all used up", NewTokenBucket(1000, 1000), 3000, 0.5, 1000, 980},
		{"bucket, all used up, mostly by one", NewTokenBucket(1000, 1000), 3000, 0.95, 1000, 980},
		{"bucket, nearly used up", NewTokenBucket(1000, 1000), 950, 0.5, 950, 950},
		{"window, all used up", NewSlidingWindow(10000, time.Second), 30000, 0.5, 10000, 9700},
		{"window, all used up, mostly by one", NewSlidingWindow(10000, time.Second), 30000, 0.95, 10000, 9700},
		{"window, nearly used up", NewSlidingWindow(10000, time.Second), 9500, 0.5, 9500, 9500},
	} {
		workers := []leaseholder{{size: tc.limiter.Leasable(2)}, {size: tc.limiter.Leasable(2)}}
		state := make([]byte, tc.limiter.Size())
		tc.limiter.Reset(state)
		got := int64(0)
		for i := range 2 * tc.perSec {
			now := int64(time.Hour) + i*int64(time.Second)/tc.perSec
			w := &workers[1]
			if float64(i*7919%1000) < tc.share*1000 {
				w = &workers[0]
			}
			if w.ask(tc.limiter, state, now) && i >= tc.perSec {
				got++
			}
		}
		if got < tc.least || got > tc.want {
			t.Errorf("%s: got %d admitted in a second, want %d to %d", tc.name, got, tc.least, tc.want)
		}
	}
}

func TestLeasable(t *testing.T) {
	for _, tc := range []struct {
		name    string
		limiter *Limiter
		workers int64
		want    int64
	}{
		{"a small bucket", NewTokenBucket(20, 1.67), 2, 1},
		{"a bucket", NewTokenBucket(1024, 100), 2, 4},
		{"a log of times", NewSlidingWindow(512, time.Minute), 1, 1},
		{"sub-windows", NewSlidingWindow(51200, time.Minute), 4, 100},
		{"an adaptive limit", NewAdaptive(51200, time.Minute, AdaptiveConfig{Interval: time.Second}), 4, 1},
	} {
		if got := tc.limiter.Leasable(tc.workers); got != tc.want {
			t.Errorf("%s, %d workers: Leasable = %d, want %d", tc.name, tc.workers, got, tc.want)
		}
	}
}

// TestBucketHasRoomForLeases: what one worker may still use is not refilled, whatever others give back.
func TestBucketHasRoomForLeases(t *testing.T) {
	const ms = int64(time.Millisecond)
	start := 100 * int64(time.Second)
	for _, tc := range []struct {
		name    string
		others  func(l *Limiter, state []byte)
		at      int64 // ms
		most    int64
		comment string
	}{
		{"alone", func(*Limiter, []byte) {}, 99, 9970, "30 are leased"},
		{"another gives back", func(l *Limiter, state []byte) {
			_, lease := l.TakeLease(state, start+ms, 2)
			l.Return(state, lease, start+2*ms)
		}, 99, 9970, "30 are leased"},
		{"in the next period", func(*Limiter, []byte) {}, 1600, 9970, "what is left of them may still be given back"},
		{"later", func(*Limiter, []byte) {}, 3500, 10_000, "what was not given back is lost"},
	} {
		l := NewTokenBucket(10_000, 100_000)
		state := make([]byte, l.Size())
		l.Reset(state)
		if _, lease := l.TakeLease(state, start, 31); lease.Left != 30 {
			t.Fatalf("got a lease of %d, want 30", lease.Left)
		}
		tc.others(l, state)
		got := int64(0)
		for l.Take(state, start+tc.at*ms, 1).Admitted {
			got++
		}
		if got != tc.most {
			t.Errorf("%s: got %d admitted at once after %d ms, want %d: %s", tc.name, got, tc.at, tc.most, tc.comment)
		}
	}
}

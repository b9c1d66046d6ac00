package ratelimit

import (
	"bytes"
	"testing"
	"time"
)

func TestAdopt(t *testing.T) {
	c := AdaptiveConfig{Threshold: 0.8, Backoff: 0.5, Recovery: 1.5, Interval: time.Second, MinSamples: 1}
	lowered := func(limit int64) func(l *Limiter, state []byte) {
		return func(l *Limiter, state []byte) {
			for i := int64(0); ; i++ {
				if current, _ := l.Current(state, hour); current <= limit {
					return
				}
				l.Outcome(state, false, hour-20*second+i*second)
			}
		}
	}
	used := func(n int64, ago int64) func(l *Limiter, state []byte) {
		return func(l *Limiter, state []byte) { l.Take(state, hour-ago, n) }
	}
	both := func(first, second func(l *Limiter, state []byte)) func(l *Limiter, state []byte) {
		return func(l *Limiter, state []byte) {
			first(l, state)
			second(l, state)
		}
	}
	minute, sixth := time.Minute, 10*time.Second
	for _, tc := range []struct {
		name        string
		before      *Limiter
		life        func(l *Limiter, state []byte)
		after       *Limiter
		limit, used int64         // just after the change
		whole       time.Duration // until the last of it is used no more, to a tick
	}{
		{"a larger limit", NewSlidingWindow(100, minute), used(30, 10*second), NewSlidingWindow(200, minute), 200, 30, 50 * time.Second},
		{"a smaller limit than was used", NewSlidingWindow(100, minute), used(30, 10*second), NewSlidingWindow(20, minute), 20, 20, 50 * time.Second},
		{"a smaller limit counts the newest", NewSlidingWindow(6, minute), both(used(3, 30*second), used(3, 10*second)), NewSlidingWindow(3, minute), 3, 3, 50 * time.Second},
		{"a smaller limit counts the newest, by sub-windows", NewSlidingWindow(5000, minute), both(used(600, 30*second), used(600, 10*second)), NewSlidingWindow(700, minute), 700, 700, 50 * time.Second},
		{"a shorter window", NewSlidingWindow(100, minute), used(30, 5*second), NewSlidingWindow(100, sixth), 100, 30, 5 * time.Second},
		{"a shorter window, use before it", NewSlidingWindow(100, minute), used(30, 20*second), NewSlidingWindow(100, sixth), 100, 0, 0},
		{"a longer window is as used as the shorter was", NewSlidingWindow(10, sixth), used(5, second), NewSlidingWindow(100, minute), 100, 50, 59 * time.Second},
		{"from the log to sub-windows", NewSlidingWindow(500, minute), used(400, 0), NewSlidingWindow(1000, minute), 1000, 400, minute + minute/64},
		{"from sub-windows to the log", NewSlidingWindow(1000, minute), used(400, 0), NewSlidingWindow(500, minute), 500, 400, minute},
		{"sub-windows, a smaller limit than was used", NewSlidingWindow(5000, minute), used(4000, 0), NewSlidingWindow(1000, minute), 1000, 1000, minute + minute/64},
		{"an empty bucket makes a full window", NewTokenBucket(10, 1), used(10, 0), NewSlidingWindow(100, minute), 100, 100, minute},
		{"a bucket that is whole again", NewTokenBucket(10, 1), used(10, 70*second), NewSlidingWindow(100, minute), 100, 0, 0},
		{"a full window makes an empty bucket", NewSlidingWindow(100, minute), used(100, 30*second), NewTokenBucket(10, 1), 10, 10, 10 * time.Second},
		{"half a window, half a bucket", NewSlidingWindow(100, minute), used(50, 30*second), NewTokenBucket(200, 1), 200, 100, 100 * time.Second},
		{"a larger bucket lacks what was used", NewTokenBucket(5, 1), used(5, 0), NewTokenBucket(100, 1), 100, 5, 5 * time.Second},
		{"a smaller bucket", NewTokenBucket(100, 1), used(50, 0), NewTokenBucket(10, 1), 10, 10, 10 * time.Second},
		{"adaptive stays in proportion", NewAdaptive(100, minute, c), lowered(25), NewAdaptive(1000, minute, c), 250, 0, 0},
		{"adaptive, a limit of its own now", NewAdaptive(100, minute, c), lowered(25), NewSlidingWindow(1000, minute), 1000, 0, 0},
		{"adaptive from the configured limit on", NewSlidingWindow(100, minute), used(60, 0), NewAdaptive(100, minute, c), 100, 60, minute},
		{"the same numbers", NewSlidingWindow(100, minute), used(60, 30*second), NewSlidingWindow(100, minute), 100, 60, 30 * time.Second},
		{"a bucket of another clock", NewTokenBucket(10, 1), used(10, -hour), NewSlidingWindow(90, minute), 90, 90, minute},
		{"a state of another clock", NewSlidingWindow(100, minute), used(60, -hour), NewSlidingWindow(90, minute), 90, 60, minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			old, state := fresh(tc.before), bytes.Repeat([]byte{0xA5}, tc.after.Size())
			tc.life(tc.before, old)
			kept := bytes.Clone(old)
			tc.after.Adopt(state, old, hour)
			if !bytes.Equal(old, kept) || !tc.after.Usable(state) {
				t.Fatalf("got old changed %v, state usable %v, want false, true", !bytes.Equal(old, kept), tc.after.Usable(state))
			}
			limit, used := tc.after.Current(state, hour)
			if limit != tc.limit || used != tc.used {
				t.Fatalf("got %d of %d used, want %d of %d", used, limit, tc.used, tc.limit)
			}
			slack := minute / 64 // the sub-window in which it happened
			if tc.used > 0 && tc.before.kind != kindSubWindows && tc.after.kind != kindSubWindows {
				slack = 100 // ticks
			}
			end := hour + int64(tc.whole)
			if _, rest := tc.after.Current(state, end+int64(slack)); rest != 0 {
				t.Errorf("after %v: got %d used, want 0", tc.whole+slack, rest)
			}
			if _, rest := tc.after.Current(state, end-int64(slack)); tc.used > 0 && rest == 0 {
				t.Errorf("after %v: got nothing used, want some", tc.whole-slack)
			}
		})
	}
}

func TestAdoptOfNothing(t *testing.T) {
	l := NewSlidingWindow(5, time.Second)
	torn := fresh(NewSlidingWindow(6, time.Second))
	torn[atLast]++
	older := fresh(NewSlidingWindow(6, time.Second))
	older[0] = 0
	for name, old := range map[string][]byte{
		"none": nil, "zeros": make([]byte, 200), "torn": torn, "of an older version": older, "short": torn[:39], "a string": bytes.Repeat([]byte("weir"), 20),
	} {
		state := make([]byte, l.Size())
		l.Adopt(state, old, hour)
		if !bytes.Equal(state, fresh(l)) {
			t.Errorf("%s: got %x, want a fresh state", name, state)
		}
	}
}

// TestAdoptIgnoresWhatBothWindowsDropped: an admission that has expired in the longer new window as well is no part of
// the share that the old one had used: 5 of 6 become 6 of 7, not 5.
func TestAdoptIgnoresWhatBothWindowsDropped(t *testing.T) {
	const ms = int64(time.Millisecond)
	before, after := NewSlidingWindow(6, 100*time.Millisecond), NewSlidingWindow(7, 101*time.Millisecond)
	old, state := make([]byte, before.Size()), make([]byte, after.Size())
	before.Reset(old)
	start := int64(time.Hour)
	before.Take(old, start, 1)
	before.Take(old, start+50*ms, 5)
	now := start + 120*ms
	after.Adopt(state, old, now)
	if limit, used := after.Current(state, now); limit != 7 || used != 6 {
		t.Errorf("got %d of %d used, want 6 of 7", used, limit)
	}
}

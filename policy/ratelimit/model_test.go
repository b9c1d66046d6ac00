package ratelimit

import (
	"bytes"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/policy/fixedpoint"
	"github.com/weir-mesh/weir/policy/packed"
)

// model is an obviously correct sliding window: all admissions with their times, added up each time.
type model struct {
	limit, window int64
	over          func(at int64) int64 // when a request that is admitted at `at` counts no more
	admissions    []use
}

func (m *model) last() int64 {
	if len(m.admissions) == 0 {
		return 0
	}
	return m.admissions[len(m.admissions)-1].at
}

func (m *model) used(t int64) (used int64) {
	for _, a := range m.admissions {
		if m.over(a.at) > t {
			used += a.n
		}
	}
	return used
}

// moment is the time that now counts as. Where the last admission is further ahead than a window, the clock is another
// one and what is used becomes used just now.
func (m *model) moment(now int64) int64 {
	last := m.last()
	if last-now <= m.window {
		return max(now, last)
	}
	m.admissions = []use{{now, m.used(last)}}
	return now
}

func (m *model) take(now, n, limit int64) bool {
	t := m.moment(now)
	if m.used(t)+n > limit {
		return false
	}
	m.admissions = append(m.admissions, use{t, n})
	return true
}

// promised fails if some interval of length window has more than limit admissions. The times are in order.
func promised(t *rapid.T, admissions []use, window, limit int64) {
	sum, first := int64(0), 0
	for _, a := range admissions {
		sum += a.n
		for ; a.at-admissions[first].at >= window; first++ {
			sum -= admissions[first].n
		}
		if sum > limit {
			t.Fatalf("got %d admitted in %d ns up to %d, want at most %d", sum, a.at-admissions[first].at, a.at, limit)
		}
	}
}

// arrivals draws steps of a clock that goes at the pace of a limit, with pauses, steps back, and jumps.
func arrivals(limit, window int64) *rapid.Generator[int64] {
	tick := ceilDiv(window, 1<<30)
	return rapid.OneOf(
		rapid.Int64Range(0, 3),
		rapid.Int64Range(0, 2*window/min(limit, 100)+1),
		rapid.Int64Range(0, 2*window/min(limit, 100)+1),
		rapid.Int64Range(0, 2*window),
		rapid.Int64Range(-5000, 0),
		rapid.Map(rapid.Int64Range(-3, 3), func(d int64) int64 { return window + d }),
		rapid.Map(rapid.Int64Range(-3, 3), func(d int64) int64 { return window/64 + d }),
		rapid.Map(rapid.Int64Range(-3, 3), func(d int64) int64 { return tick<<32 + d*tick }),
		rapid.Map(rapid.Int64Range(-window, window), func(d int64) int64 { return 3*window + d }),
		rapid.Map(rapid.Int64Range(0, window), func(d int64) int64 { return -window - d }),
	)
}

var windows = rapid.OneOf(
	rapid.Just(int64(100*time.Millisecond)), rapid.Just(second), rapid.Just(60*second), rapid.Just(24*hour),
	rapid.Int64Range(1, 1000), rapid.Int64Range(int64(time.Millisecond), 3*hour),
)

func TestWindowsEqualTheirModels(t *testing.T) {
	for _, tc := range []struct {
		name   string
		limits *rapid.Generator[int64]
		over   func(window int64) func(at int64) int64
	}{
		{"log", rapid.OneOf(rapid.Int64Range(1, 12), rapid.Int64Range(1, maxLog)), func(window int64) func(int64) int64 {
			tick := ceilDiv(window, 1<<30)
			return func(at int64) int64 { return ceilDiv(at, tick)*tick + window }
		}},
		{"sub-windows", rapid.OneOf(rapid.Int64Range(maxLog+1, 600), rapid.Int64Range(maxLog+1, 1e7)), func(window int64) func(int64) int64 {
			width := ceilDiv(window, 64)
			return func(at int64) int64 { return (at/width + 65) * width }
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				limit, window := tc.limits.Draw(t, "limit"), windows.Draw(t, "window")
				l := NewSlidingWindow(limit, time.Duration(window))
				m := &model{limit: limit, window: window, over: tc.over(window)}
				// The same admissions, each counted for a window exactly, and for as long as docs/guarantees.md
				// lets it count: window / 2^30 longer up to 512 requests a window, window / 64 longer above.
				exact := func(at int64) int64 { return at + window }
				slack := ceilDiv(window, 1<<30)
				if limit > maxLog {
					slack = window/64 + 65 // a sub-window's width is rounded up to a nanosecond
				}
				slow := func(at int64) int64 { return at + window + slack }
				steps := arrivals(limit, window)
				costs := rapid.OneOf(rapid.Just(int64(1)), rapid.Int64Range(1, max(limit/5, 1)), rapid.Int64Range(1, limit+1))
				state, now := fresh(l), rapid.Int64Range(1, 1000*hour).Draw(t, "start")
				for range rapid.IntRange(1, 150).Draw(t, "asks") {
					now = max(now+steps.Draw(t, "step"), 1)
					n := costs.Draw(t, "cost")
					if l.Idle(state, now) != (m.usedAt(now) == 0) {
						t.Fatalf("at %d: Idle = %v, the model has %d used", now, l.Idle(state, now), m.usedAt(now))
					}
					v := take(t, l, state, now, n)
					if want := m.take(now, n, limit); v.Admitted != want {
						t.Fatalf("Take(%d, %d) = %+v, want admitted %v by the model", now, n, v, want)
					}
					at := max(now, m.last())
					used := m.used(at)
					if _, got := l.Current(state, now); got != used || v.Remaining != limit-used {
						t.Fatalf("at %d: got %d used, %d remaining, want %d of %d used", now, got, v.Remaining, used, limit)
					}
					if e := (&model{over: exact, admissions: m.admissions}).used(at); v.Admitted && e > limit {
						t.Fatalf("at %d: got %d in a window, want at most the limit", now, e)
					}
					if s := (&model{over: slow, admissions: m.admissions}).used(at); !v.Admitted && s+n <= limit {
						t.Fatalf("Take(%d, %d): got refused, want admitted with at most %d counted", now, n, s)
					}
					checkWaits(t, l, state, now, n, v)
				}
				promised(t, m.admissions, window, limit)
			})
		})
	}
}

// usedAt is used without changing anything.
func (m *model) usedAt(now int64) int64 {
	other := *m
	return other.used(other.moment(now))
}

// checkWaits checks the RetryAfter and Reset of a verdict of a window with a fixed limit, to the nanosecond.
func checkWaits(t *rapid.T, l *Limiter, state []byte, now, n int64, v Verdict) {
	at := now + int64(v.RetryAfter)
	limit, used := l.Current(state, now)
	if !v.Admitted && n <= limit {
		if w := l.Take(bytes.Clone(state), at-1, n); w.Admitted {
			t.Fatalf("Take(%d, %d) = %+v; a nanosecond before RetryAfter: got admitted, want refused", now, n, v)
		}
		if w := l.Take(bytes.Clone(state), at, n); !w.Admitted {
			t.Fatalf("Take(%d, %d) = %+v; after RetryAfter: got %+v, want admitted", now, n, v, w)
		}
	}
	if end := now + int64(v.Reset); !l.Idle(state, end) || (used > 0 && l.Idle(state, end-1)) {
		t.Fatalf("at %d: got %+v, want Reset to be when the limit becomes idle", now, v)
	}
}

// TestBucketBytesEqualBucket compares the limit of bytes with the Bucket, whose promise has a test of its own.
func TestBucketBytesEqualBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		burst := rapid.Int64Range(1, 50).Draw(t, "burst")
		refill := rapid.Float64Range(0.01, 5000).Draw(t, "refill")
		l, c := NewTokenBucket(burst, refill), NewBucketConfig(burst, refill)
		steps := arrivals(burst, c.fill)
		state, b, now := fresh(l), Bucket{}, hour
		for range rapid.IntRange(1, 150).Draw(t, "asks") {
			now = max(now+steps.Draw(t, "step"), 1)
			n := rapid.Int64Range(1, burst+1).Draw(t, "cost")
			next, want := c.Take(b, now, n)
			if got := take(t, l, state, now, n); got != want {
				t.Fatalf("at %d, ask %d: got %+v, want %+v", now, n, got, want)
			}
			if want.Store {
				b = next
			}
			level, _ := c.refill(b, now)
			limit, used := l.Current(state, now)
			if limit != burst || used != burst-level.Level/fixedpoint.Nano || l.Idle(state, now) != (level == Bucket{Level: c.capacity, At: now}) {
				t.Fatalf("at %d: got %d of %d used, idle %v, want by the bucket %+v", now, used, limit, l.Idle(state, now), level)
			}
		}
	})
}

// adaptiveModel keeps the current limit as a fraction and all outcomes since the last evaluation.
type adaptiveModel struct {
	AdaptiveConfig
	highest, lowest int64
	current         *big.Rat
	outcomes        []bool
	since           int64
}

func (m *adaptiveModel) outcome(success bool, now int64) {
	if len(m.outcomes) == 0 && m.since == 0 {
		m.since = now
	}
	m.outcomes = append(m.outcomes, success)
	if now-m.since < int64(m.Interval) || len(m.outcomes) < m.MinSamples {
		return
	}
	good := 0
	for _, o := range m.outcomes {
		if o {
			good++
		}
	}
	factor := rat(m.Recovery)
	if new(big.Rat).SetFrac64(int64(good), int64(len(m.outcomes))).Cmp(rat(m.Threshold)) < 0 {
		factor = rat(m.Backoff)
	}
	m.current.Mul(m.current, factor)
	if low := new(big.Rat).SetInt64(m.lowest); m.current.Cmp(low) < 0 {
		m.current = low
	}
	if high := new(big.Rat).SetInt64(m.highest); m.current.Cmp(high) > 0 {
		m.current = high
	}
	m.outcomes, m.since = nil, now
}

// rat is the decimal fraction of f, to a millionth.
func rat(f float64) *big.Rat { return new(big.Rat).SetFrac64(int64(f*1e6+0.5), 1e6) }

// TestAdaptiveEqualsItsModel feeds admissions and outcomes. The current limit is never further than a hundredth of a
// request from the exact product, and what it allows is the window's model's.
func TestAdaptiveEqualsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.OneOf(rapid.Int64Range(1, 30), rapid.Int64Range(1, 2000)).Draw(t, "limit")
		window := rapid.Int64Range(second/10, 60*second).Draw(t, "window")
		hundredths := func(low, high int, name string) float64 {
			return float64(rapid.IntRange(low, high).Draw(t, name)) / 100
		}
		c := AdaptiveConfig{
			Threshold: hundredths(1, 100, "threshold"), Backoff: hundredths(10, 99, "backoff"), Recovery: hundredths(101, 300, "recovery"),
			Interval: time.Duration(rapid.Int64Range(second/10, 20*second).Draw(t, "interval")), MinSamples: rapid.IntRange(1, 20).Draw(t, "samples"),
		}
		l := NewAdaptive(limit, time.Duration(window), c)
		m := &adaptiveModel{AdaptiveConfig: c, highest: limit, lowest: max((limit+9)/10, 1), current: new(big.Rat).SetInt64(limit)}
		width, tick := ceilDiv(window, 64), ceilDiv(window, 1<<30)
		w := &model{limit: limit, window: window, over: func(at int64) int64 {
			if limit > maxLog {
				return (at/width + 65) * width
			}
			return ceilDiv(at, tick)*tick + window
		}}
		state, now := fresh(l), hour
		goodOf := rapid.IntRange(0, 10).Draw(t, "good of ten")
		for range rapid.IntRange(1, 200).Draw(t, "events") {
			now += rapid.Int64Range(0, int64(c.Interval)/4).Draw(t, "step")
			if rapid.Bool().Draw(t, "outcome") {
				success := rapid.IntRange(1, 10).Draw(t, "success") <= goodOf
				l.Outcome(state, success, now)
				m.outcome(success, now)
				if !l.Usable(state) {
					t.Fatalf("Outcome left %x, want a usable state", state)
				}
			}
			current, used := l.Current(state, now)
			if current < m.lowest || current > limit || used != w.used(now) {
				t.Fatalf("got %d of %d used, configured %d, want %d used by the model", used, current, limit, w.used(now))
			}
			// Each rounding is a thousandth; factors carry it on, and the bounds stop it.
			got := new(big.Rat).SetFrac64(packed.I64(state, atCurrent), fixedpoint.Milli)
			if off := new(big.Rat).Sub(got, m.current); off.Abs(off).Cmp(new(big.Rat).SetFrac64(1, 100)) > 0 {
				t.Fatalf("got current limit %s, want %s to a hundredth", got.FloatString(4), m.current.FloatString(4))
			}
			m.current = got
			n := rapid.Int64Range(1, max(limit/4, 1)).Draw(t, "cost")
			v := take(t, l, state, now, n)
			if want := w.take(now, n, current); v.Admitted != want {
				t.Fatalf("Take(%d, %d) with limit %d = %+v, want admitted %v by the model", now, n, current, v, want)
			}
			if v.Remaining != max(current-w.used(now), 0) {
				t.Fatalf("at %d: got %+v, want %d of %d used by the model", now, v, w.used(now), current)
			}
			if n <= current {
				checkWaitsOfAdaptive(t, l, state, now, n, v)
			}
		}
		promised(t, w.admissions, window, limit)
	})
}

// checkWaitsOfAdaptive is checkWaits for a limit that is reset after a very long wait.
func checkWaitsOfAdaptive(t *rapid.T, l *Limiter, state []byte, now, n int64, v Verdict) {
	at := now + int64(v.RetryAfter)
	if v.Admitted || l.adaptive.forgotten(state, at) {
		return
	}
	if w := l.Take(bytes.Clone(state), at-1, n); w.Admitted {
		t.Fatalf("Take(%d, %d) = %+v; a nanosecond before RetryAfter: got admitted, want refused", now, n, v)
	}
	if w := l.Take(bytes.Clone(state), at, n); !w.Admitted {
		t.Fatalf("Take(%d, %d) = %+v; after RetryAfter: got %+v, want admitted", now, n, v, w)
	}
}

// limiters draws one of each algorithm. Windows are whole milliseconds as in a policy.
var limiters = rapid.Custom(func(t *rapid.T) *Limiter {
	window := time.Duration(rapid.Int64Range(100, 100_000).Draw(t, "window ms")) * time.Millisecond
	limit := rapid.OneOf(rapid.Int64Range(1, 20), rapid.Int64Range(1, maxLog), rapid.Int64Range(maxLog+1, 5000)).Draw(t, "limit")
	switch rapid.IntRange(0, 2).Draw(t, "algorithm") {
	case 0:
		return NewTokenBucket(limit, float64(limit)/window.Seconds()*rapid.Float64Range(0.1, 3).Draw(t, "refill"))
	case 1:
		return NewSlidingWindow(limit, window)
	default:
		return NewAdaptive(limit, window, AdaptiveConfig{
			Threshold: 0.8, Backoff: 0.5, Recovery: 1.5, MinSamples: rapid.IntRange(1, 5).Draw(t, "samples"),
			Interval: time.Duration(rapid.Int64Range(100, 20_000).Draw(t, "interval ms")) * time.Millisecond,
		})
	}
})

// drive uses a limit at random and returns what it admitted.
func drive(t *rapid.T, l *Limiter, state []byte, now *int64, asks int) (admissions []use) {
	limit, _ := l.Current(state, *now)
	_, window := l.Quota()
	steps := rapid.Int64Range(0, 3*int64(window)/min(limit, 50))
	for range asks {
		*now += steps.Draw(t, "step")
		n := rapid.Int64Range(1, max(limit/3, 1)).Draw(t, "cost")
		if take(t, l, state, *now, n).Admitted {
			admissions = append(admissions, use{*now, n})
		}
		if rapid.Bool().Draw(t, "outcome") {
			l.Outcome(state, rapid.Bool().Draw(t, "success"), *now)
		}
	}
	return admissions
}

// TestIdleIsFresh: an idle state gives the same verdicts as a fresh one. One that is not idle differs, for a request of all
// of the limit or by the current limit of an adaptive one.
func TestIdleIsFresh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limiters.Draw(t, "limit")
		state, now := fresh(l), hour
		drive(t, l, state, &now, rapid.IntRange(0, 30).Draw(t, "asks"))
		_, window := l.Quota()
		now += rapid.Int64Range(0, 2*int64(window)).Draw(t, "pause")
		if rapid.Bool().Draw(t, "long pause") {
			now += rapid.Int64Range(200*second, oneDay).Draw(t, "more")
		}
		all, _ := l.Quota()
		if !l.Idle(state, now) {
			if w := l.Take(bytes.Clone(state), now, all); w.Admitted && l.adaptive == nil {
				t.Fatalf("not idle: got all of the limit admitted, %+v, want refused", w)
			}
			return
		}
		other := fresh(l)
		for range rapid.IntRange(1, 20).Draw(t, "asks") {
			n := rapid.Int64Range(1, all).Draw(t, "cost")
			if got, want := l.Take(state, now, n), l.Take(other, now, n); got != want {
				t.Fatalf("idle: Take = %+v, want %+v as from a fresh state", got, want)
			}
			success := rapid.Bool().Draw(t, "success")
			l.Outcome(state, success, now)
			l.Outcome(other, success, now)
			gotLimit, gotUsed := l.Current(state, now)
			wantLimit, wantUsed := l.Current(other, now)
			if gotLimit != wantLimit || gotUsed != wantUsed {
				t.Fatalf("idle: got %d of %d used, want %d of %d as from a fresh state", gotUsed, gotLimit, wantUsed, wantLimit)
			}
			now += rapid.Int64Range(0, int64(window)).Draw(t, "step")
		}
	})
}

// TestIdleAfterAPause: every limit becomes idle after a pause, and an idle one admits.
func TestIdleAfterAPause(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limiters.Draw(t, "limit")
		state, now := fresh(l), hour
		drive(t, l, state, &now, rapid.IntRange(0, 30).Draw(t, "asks"))
		if l.kind == kindBucket {
			now += l.bucket.fill
		} else {
			now += l.window + ceilDiv(l.window, 64)
		}
		if limit, used := l.Current(state, now); used != 0 || !l.Take(bytes.Clone(state), now, limit).Admitted {
			t.Fatalf("after a pause: got %d of %d used, want 0", used, limit)
		}
		now += oneDay
		all, _ := l.Quota()
		if !l.Idle(state, now) || !take(t, l, state, now, all).Admitted {
			t.Fatal("a day later: got Idle false, want true")
		}
	})
}

func TestAdoptBetweenWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := func(name string) (*Limiter, int64) {
			l := limiters.Filter(func(l *Limiter) bool { return l.kind != kindBucket }).Draw(t, name)
			return l, l.window
		}
		before, beforeWindow := window("before")
		after, afterWindow := window("after")
		old, now := fresh(before), hour
		admissions := drive(t, before, old, &now, rapid.IntRange(0, 60).Draw(t, "asks before"))
		// What the old limit can know, however long the new window is.
		known := slices.DeleteFunc(admissions, func(u use) bool { return u.at <= now-beforeWindow })
		state := make([]byte, after.Size())
		after.Adopt(state, old, now)
		if !after.Usable(state) {
			t.Fatalf("Adopt made %x, want a usable state", state)
		}
		for _, a := range drive(t, after, state, &now, rapid.IntRange(1, 60).Draw(t, "asks after")) {
			known = append(known, a)
			sum := int64(0)
			for _, k := range known {
				if k.at > a.at-afterWindow {
					sum += k.n
				}
			}
			if sum > after.limit {
				t.Fatalf("admitted at %d: got %d in the window that ends there, want at most %d", a.at, sum, after.limit)
			}
		}
	})
}

// TestAdoptGivesNoFreeBurst: right after a change of algorithm or to a longer window no greater share is left than was
// left before, and no more than the new limit less what was used.
func TestAdoptGivesNoFreeBurst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := limiters.Draw(t, "before"), limiters.Draw(t, "after")
		old, now := fresh(before), hour
		drive(t, before, old, &now, rapid.IntRange(0, 40).Draw(t, "asks"))
		last := now
		now += rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 100*second)).Draw(t, "pause")
		limit, used := before.Current(old, now)
		state := make([]byte, after.Size())
		after.Adopt(state, old, now)
		if !after.Usable(state) {
			t.Fatalf("Adopt made %x, want a usable state", state)
		}
		newLimit, newUsed := after.Current(state, now)
		left := max(newLimit-newUsed, 0)
		// A bucket's fraction of a token is used for Current, though part of it is there.
		if before.kind == kindBucket {
			used = max(used-1, 0)
		}
		// Into a window that is no longer, each admission keeps its time, see TestAdoptBetweenWindows.
		same := before.kind != kindBucket && after.kind != kindBucket && after.window <= before.window
		// A bucket was not used after its last use: a window that is shorter than that is empty.
		same = same || before.kind == kindBucket && after.kind != kindBucket && now-packed.I64(old, atLevelAt) >= after.window
		// Into a bucket from a bucket, what is missing stays missing, see TestAdoptBetweenBuckets.
		same = same || before.kind == kindBucket && after.kind == kindBucket
		if left > max(after.configured()-used, 0) && !same {
			t.Fatalf("got %d left of %d after %d were used, want fewer", left, newLimit, used)
		}
		if oldLeft := max(limit-used, 0); !same && left*limit > oldLeft*after.configured() {
			t.Fatalf("got %d left of %d, want at most the share of before, %d of %d", left, newLimit, oldLeft, limit)
		}
		// A longer window looks back to uses that the old limit has done with but still knows.
		_, span := after.Quota()
		if before.Idle(old, now) && now-last > int64(span+span/32) && left != newLimit {
			t.Fatalf("nothing was used: got %d of %d left, want all", left, newLimit)
		}
		if left > 0 && !after.Take(bytes.Clone(state), now, left).Admitted {
			t.Fatalf("Take of all %d left: got refused, want admitted", left)
		}
		if after.Take(bytes.Clone(state), now, left+1).Admitted {
			t.Fatalf("Take of one more than the %d left: got admitted, want refused", left)
		}
	})
}

func (l *Limiter) configured() int64 {
	q, _ := l.Quota()
	return q
}

// TestAdoptBetweenBuckets: an interval that spans the change admits no more than the larger burst, and the larger rate
// times its length.
func TestAdoptBetweenBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var burst int64
		var refill float64
		bucket := func(name string) *Limiter {
			b, r := rapid.Int64Range(1, 50).Draw(t, name+" burst"), rapid.Float64Range(0.1, 100).Draw(t, name+" refill")
			burst, refill = max(burst, b), max(refill, r)
			return NewTokenBucket(b, r)
		}
		before, after := bucket("before"), bucket("after")
		old, now := fresh(before), hour
		admissions := drive(t, before, old, &now, rapid.IntRange(0, 60).Draw(t, "asks before"))
		state := make([]byte, after.Size())
		after.Adopt(state, old, now)
		admissions = append(admissions, drive(t, after, state, &now, rapid.IntRange(1, 60).Draw(t, "asks after"))...)
		for i, from := range admissions {
			sum := int64(0)
			for _, to := range admissions[i:] {
				sum += to.n
				if allowed := float64(burst) + refill*float64(to.at-from.at)/1e9; float64(sum) > allowed+1e-6 {
					t.Fatalf("got %d admitted in %d ns, want at most %g", sum, to.at-from.at, allowed)
				}
			}
		}
	})
}

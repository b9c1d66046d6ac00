package ratelimit

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/weir-mesh/weir/policy/fixedpoint"
	"github.com/weir-mesh/weir/policy/packed"
)

const (
	hour        = int64(time.Hour)
	millisecond = int64(time.Millisecond)
)

func fresh(l *Limiter) []byte {
	state := make([]byte, l.Size())
	l.Reset(state)
	return state
}

// take is Take with checks for every Take: the state changes only if the verdict says Store, and stays usable.
func take(t interface {
	Helper()
	Fatalf(string, ...any)
}, l *Limiter, state []byte, now, n int64,
) Verdict {
	t.Helper()
	before := bytes.Clone(state)
	v := l.Take(state, now, n)
	if !v.Store && !bytes.Equal(before, state) {
		t.Fatalf("Take(%d, %d) = %+v, want the state unchanged", now, n, v)
	}
	if v.Admitted && !v.Store {
		t.Fatalf("Take(%d, %d) = %+v, want the state changed", now, n, v)
	}
	if !l.Usable(state) {
		t.Fatalf("Take(%d, %d) = %+v, left %x, want a usable state", now, n, v, state)
	}
	if v.Remaining < 0 || v.RetryAfter < 0 || v.Reset < 0 || (v.Admitted && v.RetryAfter != 0) {
		t.Fatalf("Take(%d, %d) = %+v, want no negative number and a RetryAfter for refusals only", now, n, v)
	}
	return v
}

type moment struct {
	at, ask    int64
	admitted   bool
	remaining  int64
	retryAfter time.Duration
	reset      time.Duration
}

func TestWindowMoments(t *testing.T) {
	const tick = 56 // of a minute
	up := func(at int64) time.Duration { return time.Duration(ceilDiv(at, tick)*tick - at) }
	// hour is not a whole number of ticks, so that rounding up has an effect; for a second, a tick is a nanosecond.
	if up(hour) == 0 {
		t.Fatal("choose another hour")
	}
	width := int64(time.Second) / 64
	start := hour - hour%width // of a sub-window of a second's window
	for _, tc := range []struct {
		name    string
		limit   int64
		window  time.Duration
		moments []moment
	}{
		{"two a second, the window slides", 2, time.Second, []moment{
			{hour, 1, true, 1, 0, time.Second},
			{hour + 400*millisecond, 1, true, 0, 0, time.Second},
			{hour + 500*millisecond, 1, false, 0, 500 * time.Millisecond, 900 * time.Millisecond},
			{hour + second - 1, 1, false, 0, 1, 400*time.Millisecond + 1},
			{hour + second, 1, true, 0, 0, time.Second},
			{hour + second, 1, false, 0, 400 * time.Millisecond, time.Second},
			{hour + 10*second, 1, true, 1, 0, time.Second},
		}},
		{"a request that costs several waits for the one that makes room", 5, time.Second, []moment{
			{hour, 2, true, 3, 0, time.Second},
			{hour + 100*millisecond, 2, true, 1, 0, time.Second},
			{hour + 200*millisecond, 3, false, 1, 800 * time.Millisecond, 900 * time.Millisecond},
			{hour + 200*millisecond, 4, false, 1, 900 * time.Millisecond, 900 * time.Millisecond},
			{hour + 200*millisecond, 6, false, 1, time.Second, 900 * time.Millisecond},
			{hour + second, 3, true, 0, 0, time.Second},
		}},
		{"a minute's window rounds admissions up to 56 ns", 1, time.Minute, []moment{
			{hour, 1, true, 0, 0, time.Minute + up(hour)},
			{hour + 60*second, 1, false, 0, up(hour), up(hour)},
			{hour + 60*second + int64(up(hour)) - 1, 1, false, 0, 1, 1},
			{hour + 60*second + int64(up(hour)), 1, true, 0, 0, time.Minute + up(60*second)},
		}},
		{"another worker's reading, a little earlier, counts as of the last admission", 2, time.Second, []moment{
			{hour, 1, true, 1, 0, time.Second},
			{hour - 1000, 1, true, 0, 0, time.Second + 1000},
			{hour - 1000, 1, false, 0, time.Second + 1000, time.Second + 1000},
			{hour + second - 1, 1, false, 0, 1, 1},
			{hour + second, 2, true, 0, 0, time.Second},
		}},
		{"the first seconds of the machine's clock", 1, time.Minute, []moment{
			{1, 1, true, 0, 0, time.Minute + 55},
			{second, 1, false, 0, 59*time.Second + 56, 59*time.Second + 56},
		}},
		{"above 512, by 64 sub-windows: counts for up to a 64th longer", 1000, time.Second, []moment{
			{start, 600, true, 400, 0, time.Second + time.Duration(width)},
			{start + width - 1, 300, true, 100, 0, time.Second + 1},
			{start + width, 100, true, 0, 0, time.Second + time.Duration(width)},
			{start + width, 1, false, 0, time.Second, time.Second + time.Duration(width)},
			{start + second, 1, false, 0, time.Duration(width), time.Duration(2 * width)},
			{start + second + width - 1, 1, false, 0, 1, time.Duration(width) + 1},
			{start + second + width, 901, false, 900, time.Duration(width), time.Duration(width)},
			{start + second + width, 900, true, 0, 0, time.Second + time.Duration(width)},
			{start + second + 2*width, 100, true, 0, 0, time.Second + time.Duration(width)},
			{start + 10*second, 1000, true, 0, 0, time.Second + time.Duration(width)},
		}},
		{"above 512, another worker's reading falls into the last sub-window", 1000, time.Second, []moment{
			{start, 1, true, 999, 0, time.Second + time.Duration(width)},
			{start - 5, 1, true, 998, 0, time.Second + time.Duration(width) + 5},
			{start - 5, 999, false, 998, time.Second + time.Duration(width) + 5, time.Second + time.Duration(width) + 5},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := NewSlidingWindow(tc.limit, tc.window)
			state := fresh(l)
			for i, m := range tc.moments {
				v := take(t, l, state, m.at, m.ask)
				want := Verdict{Admitted: m.admitted, Store: m.admitted, Remaining: m.remaining, RetryAfter: m.retryAfter, Reset: m.reset}
				if v != want {
					t.Fatalf("moment %d (at %d, ask %d): got %+v, want %+v", i, m.at, m.ask, v, want)
				}
			}
		})
	}
}

// TestTicksWrapAround admits around each wrap of the 32 bits of a tick, and long after it.
func TestTicksWrapAround(t *testing.T) {
	for _, window := range []time.Duration{time.Second, time.Minute, 24 * time.Hour} {
		l := NewSlidingWindow(2, window)
		tick := ceilDiv(int64(window), 1<<30)
		for _, wraps := range []int64{1, 2, 1000} {
			turn := wraps << 32 * tick
			state := fresh(l)
			for _, m := range []struct {
				at       int64
				admitted bool
			}{
				{turn - 3*tick, true},
				{turn + 3*tick, true},
				{turn + 4*tick, false},
				{turn - 3*tick + int64(window) - 1, false},
				{turn - 3*tick + int64(window), true},
				{turn<<1 + 3*tick, true}, // as many ticks again: the low bits are those of an entry
				{turn<<1 + 3*tick, true},
				{turn<<1 + 3*tick, false},
			} {
				if v := take(t, l, state, m.at, 1); v.Admitted != m.admitted {
					t.Fatalf("%v, wrap %d, at %d: got %+v, want %+v", window, wraps, m.at-turn, v, m)
				}
			}
		}
	}
}

func TestWindowOfAnotherClockIsRepairedAtOnce(t *testing.T) {
	for _, limit := range []int64{1, 10, 512, 513, 10_000} {
		for _, now := range []int64{1, second, hour} {
			l := NewSlidingWindow(limit, time.Minute)
			state := fresh(l)
			future := 1000 * hour
			for left := limit; left > 0; left -= min((limit+9)/10, left) {
				take(t, l, state, future, min((limit+9)/10, left))
				future += second
			}
			if _, used := l.Current(state, now); used != limit || l.Idle(state, now) {
				t.Fatalf("limit %d: got %d used before the repair, want all", limit, used)
			}
			v := take(t, l, state, now, 1)
			if v.Admitted || !v.Store {
				t.Fatalf("limit %d: got %+v, want a stored refusal", limit, v)
			}
			again := take(t, l, state, now, 1)
			if again.Admitted || again.Store {
				t.Fatalf("limit %d: got %+v, want a refusal that stores nothing", limit, again)
			}
			later := now + 20*second
			if _, used := l.Current(state, later); used != limit {
				t.Fatalf("limit %d: got %d used after the repair, want all", limit, used)
			}
			longest := time.Minute + time.Minute/64 + time.Microsecond
			if v.RetryAfter > longest {
				t.Fatalf("limit %d: got RetryAfter %v, want a window at most", limit, v.RetryAfter)
			}
			if v = take(t, l, state, now+int64(v.RetryAfter), limit); !v.Admitted {
				t.Fatalf("limit %d: after RetryAfter: got %+v, want admitted", limit, v)
			}
		}
	}
}

func TestAdaptiveOfAnotherClock(t *testing.T) {
	c := AdaptiveConfig{Threshold: 0.8, Backoff: 0.5, Recovery: 1.5, Interval: time.Second, MinSamples: 2}
	l := NewAdaptive(100, time.Minute, c)
	ahead := fresh(l)
	for i := range int64(3) {
		take(t, l, ahead, 1000*hour+i*second, 1)
		l.Outcome(ahead, false, 1000*hour+i*second)
	}
	if limit, _ := l.Current(ahead, hour); limit != 50 {
		t.Fatalf("before: got limit %d, want 50", limit)
	}
	state := bytes.Clone(ahead)
	for i := range int64(2) {
		l.Outcome(state, false, hour+i*second)
	}
	if limit, _ := l.Current(state, hour+second); limit != 25 {
		t.Errorf("an interval later: got limit %d, want 25", limit)
	}
	// Without another outcome, a Take repairs what it needs and the rest is forgotten in time.
	state = bytes.Clone(ahead)
	if v := take(t, l, state, hour, 1); !v.Admitted || v.Remaining != 50-3-1 {
		t.Errorf("the repairing Take: got %+v, want admitted with 46 remaining", v)
	}
	if !l.Idle(state, hour+oneDay) {
		t.Error("a day later: got Idle false, want true")
	}
	// And the other way round: the outcome was of this clock, the next one is not far from it.
	state = bytes.Clone(ahead)
	take(t, l, state, hour, 1)
	l.Outcome(state, true, hour)
	if got := packed.I64(state, atLastOutcome); got != hour {
		t.Errorf("got last outcome at %d, want %d", got, hour)
	}
}

func TestOutcomesNeverOverflow(t *testing.T) {
	l := NewAdaptive(100, time.Minute, AdaptiveConfig{Threshold: 0.8, Backoff: 0.5, Recovery: 1.5, Interval: time.Hour, MinSamples: 2})
	state := fresh(l)
	l.Outcome(state, true, hour)
	packed.PutU32(state, atOutcomes, math.MaxUint32)
	packed.PutU32(state, atSuccesses, math.MaxUint32/4)
	l.seal(state)
	for range 3 {
		l.Outcome(state, true, hour)
		if ratio, known := l.SuccessRatio(state); !l.Usable(state) || !known || math.Abs(ratio-0.25) > 1e-6 {
			t.Fatalf("got usable %v, ratio %g, want true, 0.25", l.Usable(state), ratio)
		}
	}
}

func TestAdaptiveMoments(t *testing.T) {
	c := AdaptiveConfig{Threshold: 0.8, Backoff: 0.7, Recovery: 1.2, Interval: 10 * time.Second, MinSamples: 10}
	l := NewAdaptive(100, time.Minute, c)
	state := fresh(l)
	now := hour
	outcomes := func(n, good int) {
		for i := range n {
			if !l.Outcome(state, i < good, now) {
				t.Fatal("Outcome = false, want true")
			}
		}
	}
	for i, m := range []struct {
		after     int64 // seconds
		n, good   int
		thousands int64 // the current limit, in milli-requests
		ratio     float64
	}{
		{0, 10, 0, 100_000, 0},       // the interval has begun
		{9, 10, 0, 100_000, 0},       // and is not over
		{1, 1, 0, 70_000, 0},         // now it is
		{10, 9, 0, 70_000, 0},        // over, but too few outcomes: counting goes on
		{100, 1, 0, 49_000, 0},       // until there are enough
		{10, 10, 7, 34_300, 0.7},     // below the threshold
		{10, 10, 8, 41_160, 0.8},     // at it
		{10, 10, 0, 28_812, 0},       //
		{10, 10, 0, 20_168, 0},       // 20.1684
		{10, 10, 0, 14_117, 0},       // 14.1176
		{10, 10, 0, 10_000, 0},       // a tenth is the least
		{10, 10, 0, 10_000, 0},       //
		{10, 10, 10, 12_000, 1},      //
		{10, 10, 10, 14_400, 1},      //
		{10, 20, 20, 17_280, 1},      // the eleventh and later begin a new interval
		{9, 1, 1, 17_280, 1},         //
		{1, 1, 1, 20_736, 1},         //
		{10, 10, 10, 24_884, 1},      // 24.8832, up
		{10, 1000, 1000, 29_861, 1},  // 29.8608
		{10, 1000, 1000, 35_834, 1},  //
		{10, 1000, 1000, 43_001, 1},  //
		{10, 1000, 1000, 51_602, 1},  //
		{10, 1000, 1000, 61_923, 1},  //
		{10, 1000, 1000, 74_308, 1},  //
		{10, 1000, 1000, 89_170, 1},  //
		{10, 1000, 1000, 100_000, 1}, // the configured limit is the most
		{10, 1000, 1000, 100_000, 1}, //
		{10, 10, 0, 100_000, 0.999},  // the first of them ends an interval with 999 successes in it
		{10, 1, 0, 70_000, 0},
		{13*10 + 62, 1, 1, 100_000, 0}, // a whole recovery and a window without a sound: forgotten
	} {
		now += m.after * second
		outcomes(m.n, m.good)
		if got := packed.I64(state, atCurrent); got != m.thousands {
			t.Fatalf("step %d: got current limit %d/1000, want %d/1000", i, got, m.thousands)
		}
		if limit, used := l.Current(state, now); limit != m.thousands/1000 || used != 0 {
			t.Fatalf("step %d: Current = %d, %d, want %d, 0", i, limit, used, m.thousands/1000)
		}
		if ratio, known := l.SuccessRatio(state); i >= 2 && i < 29 && (!known || ratio != m.ratio) {
			t.Fatalf("step %d: SuccessRatio = %g, %v, want %g", i, ratio, known, m.ratio)
		}
	}
}

func TestAdaptiveEnforcesWhatHolds(t *testing.T) {
	c := AdaptiveConfig{Threshold: 0.8, Backoff: 0.5, Recovery: 1.5, Interval: time.Second, MinSamples: 1}
	for _, limit := range []int64{20, 2000} {
		l := NewAdaptive(limit, time.Minute, c)
		state := fresh(l)
		now := hour
		if v := take(t, l, state, now, limit); !v.Admitted || v.Remaining != 0 {
			t.Fatalf("all of a fresh limit: got %+v, want admitted", v)
		}
		l.Outcome(state, false, now)
		now += second
		l.Outcome(state, false, now)
		if got, used := l.Current(state, now); got != limit/2 || used != limit {
			t.Fatalf("Current = %d, %d, want %d, %d", got, used, limit/2, limit)
		}
		now += 30 * second
		v := take(t, l, state, now, 1)
		if v.Admitted || v.Remaining != 0 || v.RetryAfter < 29*time.Second || v.RetryAfter > 30*time.Second {
			t.Fatalf("with more used than the lowered limit: got %+v, want refused", v)
		}
		now += int64(v.RetryAfter)
		if v = take(t, l, state, now, limit/2+1); v.Admitted {
			t.Fatalf("more than the lowered limit: got %+v, want refused", v)
		}
		if v = take(t, l, state, now, limit/2); !v.Admitted || v.Remaining != 0 {
			t.Fatalf("all of the lowered limit: got %+v, want admitted", v)
		}
		if v = take(t, l, state, now, 1); v.Admitted {
			t.Fatalf("one more: got %+v, want refused", v)
		}
	}
}

// TestThresholdIsExact tests ratios at which floating point is wrong: 14 of 25 is not below 0.56.
func TestThresholdIsExact(t *testing.T) {
	for n := 1; n <= 1000; n++ {
		for _, hundredth := range []int{7, 56, 57, 58, 70, 80, 95} {
			if n*hundredth%100 != 0 {
				continue
			}
			c := AdaptiveConfig{Threshold: float64(hundredth) / 100, Backoff: 0.5, Recovery: 2, Interval: 1, MinSamples: n}
			l := NewAdaptive(100, time.Second, c)
			for short := range 2 {
				state := fresh(l)
				for i := range n {
					l.Outcome(state, i < n*hundredth/100-short, hour+int64(i))
				}
				if limit, _ := l.Current(state, hour); limit != int64(100-50*short) && n > 1 {
					t.Fatalf("%d of %d at %d/100: limit %d", n*hundredth/100-short, n, hundredth, limit)
				}
			}
		}
	}
}

func TestOnlyAdaptiveLearns(t *testing.T) {
	for name, l := range map[string]*Limiter{
		"token bucket": NewTokenBucket(5, 1), "log": NewSlidingWindow(5, time.Second), "sub-windows": NewSlidingWindow(5000, time.Second),
	} {
		state := fresh(l)
		before := bytes.Clone(state)
		if l.Outcome(state, false, hour) || !bytes.Equal(before, state) {
			t.Errorf("%s: Outcome changed the state, want it unchanged", name)
		}
		if _, known := l.SuccessRatio(state); known {
			t.Errorf("%s: got a success ratio, want none", name)
		}
	}
}

func TestQuotaSizeAndCurrent(t *testing.T) {
	adaptive := AdaptiveConfig{Threshold: 0.8, Backoff: 0.7, Recovery: 1.2, Interval: time.Second, MinSamples: 1}
	for _, tc := range []struct {
		name  string
		l     *Limiter
		size  int
		quota int64
		per   time.Duration
	}{
		{"token bucket", NewTokenBucket(20, 2), 48, 20, 10 * time.Second},
		{"one request", NewSlidingWindow(1, time.Second), 48, 1, time.Second},
		{"log", NewSlidingWindow(512, time.Minute), 40 + 2048, 512, time.Minute},
		{"sub-windows", NewSlidingWindow(513, time.Minute), 40 + 264, 513, time.Minute},
		{"adaptive log", NewAdaptive(100, time.Minute, adaptive), 80 + 400, 100, time.Minute},
		{"adaptive sub-windows", NewAdaptive(10_000_000, time.Hour, adaptive), 80 + 264, 10_000_000, time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if q, w := tc.l.Quota(); q != tc.quota || w != tc.per || tc.l.Size() != tc.size {
				t.Errorf("got quota %d in %v, size %d, want %d in %v, %d", q, w, tc.l.Size(), tc.quota, tc.per, tc.size)
			}
			state := fresh(tc.l)
			if limit, used := tc.l.Current(state, hour); limit != tc.quota || used != 0 || !tc.l.Idle(state, hour) {
				t.Errorf("fresh: got %d of %d used, idle %v, want 0, true", used, limit, tc.l.Idle(state, hour))
			}
			take(t, tc.l, state, hour, 1)
			if limit, used := tc.l.Current(state, hour); limit != tc.quota || used != 1 || tc.l.Idle(state, hour) {
				t.Errorf("after one: got %d of %d used, idle %v, want 1, false", used, limit, tc.l.Idle(state, hour))
			}
		})
	}
}

// TestUsable tests states of other limits and damaged ones.
func TestUsable(t *testing.T) {
	c := AdaptiveConfig{Threshold: 0.8, Backoff: 0.7, Recovery: 1.2, Interval: time.Second, MinSamples: 1}
	limiters := []*Limiter{
		NewTokenBucket(20, 2), NewTokenBucket(21, 2), NewTokenBucket(20, 3),
		NewSlidingWindow(20, time.Second), NewSlidingWindow(19, time.Second), NewSlidingWindow(20, time.Minute),
		NewSlidingWindow(600, time.Second), NewSlidingWindow(601, time.Second), NewSlidingWindow(600, time.Minute),
		NewAdaptive(20, time.Second, c), NewAdaptive(600, time.Second, c),
	}
	for i, l := range limiters {
		state := fresh(l)
		take(t, l, state, hour, 2)
		l.Outcome(state, true, hour)
		for j, other := range limiters {
			if other.Usable(state) != (i == j) {
				t.Errorf("state of %d: Usable by %d = %v, want %v", i, j, i != j, i == j)
			}
		}
		for at := range l.fixed { // a flipped bit in what the check covers
			for bit := range 8 {
				state[at] ^= 1 << bit
				if l.Usable(state) {
					t.Errorf("limiter %d: Usable with byte %d changed = true, want false", i, at)
				}
				state[at] ^= 1 << bit
			}
		}
		if l.Usable(nil) || l.Usable(state[:len(state)-1]) || l.Usable(append(state, 0)) || l.Usable(make([]byte, l.Size())) {
			t.Errorf("limiter %d: Usable with a wrong length or of zeros = true, want false", i)
		}
	}
	// Sealed, but with impossible numbers.
	for name, lie := range map[string]struct {
		l  *Limiter
		at int
		v  int64
	}{
		"more tokens than fit":             {NewTokenBucket(20, 2), atLevel, 21 * fixedpoint.Nano},
		"tokens below nothing":             {NewTokenBucket(20, 2), atLevel, -1},
		"a time before the clock's":        {NewTokenBucket(20, 2), atLevelAt, -1},
		"a last admission before it":       {NewSlidingWindow(20, time.Second), atLast, -1},
		"used, and never an admission":     {NewSlidingWindow(20, time.Second), atUsed, 1},
		"an oldest entry outside the ring": {NewSlidingWindow(20, time.Second), atUsed, 20 << 32},
		"a place without a ring":           {NewSlidingWindow(600, time.Second), atUsed, 1 << 32},
		"a current limit above the limit":  {NewAdaptive(20, time.Second, c), atCurrent, 20_001},
		"a current limit below a tenth":    {NewAdaptive(20, time.Second, c), atCurrent, 1_999},
		"more successes than outcomes":     {NewAdaptive(20, time.Second, c), atOutcomes, 1 << 32},
		"a rate above one":                 {NewAdaptive(20, time.Second, c), atRatio, fixedpoint.Micro + 2},
		"something in the unused bytes":    {NewAdaptive(20, time.Second, c), atRatio, 1 << 32},
	} {
		state := fresh(lie.l)
		packed.PutI64(state, lie.at, lie.v)
		lie.l.seal(state)
		if lie.l.Usable(state) {
			t.Errorf("%s: Usable = true, want false", name)
		}
	}
	// A change of the factors keeps what was counted.
	l, other := NewAdaptive(20, time.Second, c), NewAdaptive(20, time.Second, AdaptiveConfig{Threshold: 0.5, Backoff: 0.1, Recovery: 3, Interval: 1, MinSamples: 5})
	if !other.Usable(fresh(l)) {
		t.Error("Usable by a limit with other factors = false, want true")
	}
}

func TestNumbersAreHeld(t *testing.T) {
	for _, l := range []*Limiter{
		NewTokenBucket(0, 0), NewTokenBucket(1<<62, 1e300), NewSlidingWindow(-1, -1), NewSlidingWindow(1<<62, 1<<62),
		NewAdaptive(1<<62, 1<<62, AdaptiveConfig{}), NewAdaptive(0, 0, AdaptiveConfig{Threshold: 9, Backoff: 9, Recovery: 1e9, Interval: 1 << 62, MinSamples: math.MaxInt}),
	} {
		state := fresh(l)
		for _, now := range []int64{-1, 0, 1, hour, 1 << 62, 1<<63 - 1} {
			for _, n := range []int64{-1, 0, 1, 1 << 62} {
				take(t, l, state, now, n)
				l.Outcome(state, n > 0, now)
				l.Idle(state, now)
				if limit, used := l.Current(state, now); limit < 1 || used < 0 {
					t.Fatalf("Current = %d, %d, want them within the limit", limit, used)
				}
			}
		}
		if q, w := l.Quota(); q < 1 || w < 1 {
			t.Fatalf("Quota = %d in %v, want both above 0", q, w)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	for _, b := range benched() {
		state := fresh(b.l)
		now := hour
		if n := testing.AllocsPerRun(1000, func() {
			now += b.step
			if b.l.Usable(state) {
				b.l.Take(state, now, 1)
			}
			b.l.Outcome(state, true, now)
			b.l.Idle(state, now)
			b.l.Current(state, now)
		}); n != 0 {
			t.Errorf("%s: got %g allocations, want 0", b.name, n)
		}
	}
}

type bench struct {
	name string
	l    *Limiter
	step int64
}

// benched are limits under a load of 1.25 times what they admit, and at half their limit.
func benched() (all []bench) {
	c := AdaptiveConfig{Threshold: 0.8, Backoff: 0.7, Recovery: 1.2, Interval: 10 * time.Second, MinSamples: 10}
	for _, limit := range []int64{10, 100, 512, 10_000} {
		for name, l := range map[string]*Limiter{
			"token_bucket":   NewTokenBucket(limit, float64(limit)),
			"sliding_window": NewSlidingWindow(limit, time.Second),
			"adaptive":       NewAdaptive(limit, time.Second, c),
		} {
			all = append(
				all, bench{fmt.Sprintf("%s/%d/over", name, limit), l, second / limit * 4 / 5},
				bench{fmt.Sprintf("%s/%d/under", name, limit), l, second / limit * 2},
			)
		}
	}
	return all
}

// BenchmarkTake is the cost of a request: Usable and Take.
func BenchmarkTake(b *testing.B) {
	for _, tc := range benched() {
		b.Run(tc.name, func(b *testing.B) {
			state, now := fresh(tc.l), hour
			b.ReportAllocs()
			for b.Loop() {
				now += tc.step
				if !tc.l.Usable(state) {
					b.Fatal("Usable = false, want true")
				}
				tc.l.Take(state, now, 1)
			}
		})
	}
}

func BenchmarkOutcome(b *testing.B) {
	l := NewAdaptive(100, time.Second, AdaptiveConfig{Threshold: 0.8, Backoff: 0.7, Recovery: 1.2, Interval: 10 * time.Second, MinSamples: 10})
	state, now := fresh(l), hour
	b.ReportAllocs()
	for b.Loop() {
		now += second / 100
		l.Outcome(state, true, now)
	}
}

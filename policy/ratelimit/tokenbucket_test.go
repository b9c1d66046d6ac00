package ratelimit

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/policy/fixedpoint"
)

const second = int64(time.Second)

func TestBucketMoments(t *testing.T) {
	type moment struct {
		at, ask    int64
		admitted   bool
		remaining  int64
		retryAfter time.Duration
	}
	hour := int64(time.Hour)
	for _, tc := range []struct {
		name    string
		burst   int64
		refill  float64
		moments []moment
	}{
		{"burst, then one a second", 3, 1, []moment{
			{hour, 1, true, 2, 0},
			{hour, 1, true, 1, 0},
			{hour, 1, true, 0, 0},
			{hour, 1, false, 0, time.Second},
			{hour + second/2, 1, false, 0, time.Second / 2},
			{hour + second - 1, 1, false, 0, 1},
			{hour + second, 1, true, 0, 0},
			{hour + second, 1, false, 0, time.Second},
			{hour + 2*second, 1, true, 0, 0},
		}},
		{"never above the burst, however long it idles", 2, 10, []moment{
			{hour, 1, true, 1, 0},
			{1000 * hour, 1, true, 1, 0},
			{1000 * hour, 1, true, 0, 0},
			{1000 * hour, 1, false, 0, 100 * time.Millisecond},
		}},
		{"a cost of several, and one that is larger than the burst", 5, 2, []moment{
			{hour, 4, true, 1, 0},
			{hour, 2, false, 1, time.Second / 2},
			{hour + second/2, 2, true, 0, 0},
			{hour + second/2, 6, false, 0, 3 * time.Second},
		}},
		{"a fraction a second", 1, 0.5, []moment{
			{hour, 1, true, 0, 0},
			{hour + second, 1, false, 0, time.Second},
			{hour + 2*second, 1, true, 0, 0},
		}},
		{"another worker's clock reading, a little earlier, brings nothing in", 1, 1, []moment{
			{hour, 1, true, 0, 0},
			{hour - 1000, 1, false, 0, time.Second + 1000},
			{hour + second - 1, 1, false, 0, 1},
			{hour + second, 1, true, 0, 0},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := NewBucketConfig(tc.burst, tc.refill)
			var b Bucket
			for i, m := range tc.moments {
				next, v := c.Take(b, m.at, m.ask)
				if v.Admitted != m.admitted || v.Remaining != m.remaining || v.RetryAfter != m.retryAfter {
					t.Fatalf("moment %d (at %d, ask %d): got %+v, want %+v", i, m.at, m.ask, v, m)
				}
				if !v.Admitted && v.Store {
					t.Fatalf("moment %d: a refusal must cost no write", i)
				}
				if v.Store {
					b = next
				}
			}
		})
	}
}

func TestBucketFromAnotherClockIsRepairedAtOnce(t *testing.T) {
	c := NewBucketConfig(5, 1)
	now := int64(time.Hour)
	b := Bucket{Level: 0, At: now + int64(time.Hour)}
	b, v := c.Take(b, now, 1)
	if v.Admitted || !v.Store {
		t.Fatalf("an empty bucket of a future clock: got %+v, want a stored refusal", v)
	}
	if _, v = c.Take(b, now+second, 1); !v.Admitted {
		t.Fatalf("a second later: got %+v, want admitted", v)
	}
}

func TestBucketOfAnotherPolicyGivesNoFreeBurst(t *testing.T) {
	old, now := NewBucketConfig(5, 1), int64(time.Hour)
	var b Bucket
	for range 5 {
		b, _ = old.Take(b, now, 1)
	}
	larger := NewBucketConfig(100, 1)
	if _, v := larger.Take(b, now, 1); v.Admitted {
		t.Fatal("a larger burst must not fill the bucket that was empty")
	}
	smaller := NewBucketConfig(2, 1)
	_, v := smaller.Take(Bucket{Level: 5 * fixedpoint.Nano, At: now}, now, 1)
	if !v.Admitted || v.Remaining != 1 {
		t.Fatalf("a level above the new burst counts as the burst: got %+v", v)
	}
}

func TestNewBucketConfigRounding(t *testing.T) {
	for _, tc := range []struct {
		burst  int64
		refill float64
		rate   int64
		fill   time.Duration
	}{
		{20, 1.67, 1670000, time.Duration(math.Ceil(20e9 / 1.67))},
		{100, 100.0 / 60, 1666666, time.Duration(math.Ceil(100e15 / 1666666))},
		{1, 1e6, 1e12, 1000},
		{1e6, 1e-6, 1, longest},
		{1, 1e-9, 1, time.Duration(1e15)},
	} {
		c := NewBucketConfig(tc.burst, tc.refill)
		if c.rate != tc.rate || c.Fill() != tc.fill {
			t.Errorf("burst %d refill %g: rate %d fill %d, want %d %d", tc.burst, tc.refill, c.rate, c.fill, tc.rate, tc.fill)
		}
	}
}

// TestBucketPromise asks at random moments and checks every interval between two admissions against the promise
// burst + rate x T, by an account of its own that knows nothing of levels.
func TestBucketPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		burst := rapid.Int64Range(1, 50).Draw(t, "burst")
		refill := rapid.Float64Range(0.01, 5000).Draw(t, "refill")
		c := NewBucketConfig(burst, refill)
		type admission struct{ at, cost int64 }
		var log []admission
		var b Bucket
		now := int64(time.Hour)
		for range rapid.IntRange(1, 200).Draw(t, "asks") {
			step := rapid.OneOf(
				rapid.Int64Range(0, 1000),
				rapid.Int64Range(0, second/100),
				rapid.Int64Range(0, 3*second),
				rapid.Int64Range(-2000, 0), // workers read the clock before they get their turn
			).Draw(t, "step")
			now += step
			cost := rapid.Int64Range(1, 3).Draw(t, "cost")
			next, v := c.Take(b, now, cost)
			if v.Admitted {
				log = append(log, admission{now, cost})
			} else if next, w := c.Take(b, now+int64(v.RetryAfter), cost); cost <= burst && !w.Admitted {
				t.Fatalf("refused again after RetryAfter %v: %+v %+v", v.RetryAfter, next, w)
			}
			if v.Store {
				b = next
			}
		}
		for i := range log {
			sum, last := int64(0), log[i].at
			for _, a := range log[i:] {
				sum += a.cost
				last = max(last, a.at)
				allowed := float64(burst) + refill*float64(last-log[i].at+2000)/1e9
				if float64(sum) > allowed+1e-6 {
					t.Fatalf("%d admitted in %v, allowed %g", sum, time.Duration(last-log[i].at), allowed)
				}
			}
		}
	})
}

// TestBucketNeverPanics feeds states that no policy made.
func TestBucketNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := NewBucketConfig(rapid.Int64Range(1, 1e6).Draw(t, "burst"), rapid.Float64Range(1e-6, 1e6).Draw(t, "refill"))
		b := Bucket{Level: rapid.Int64().Draw(t, "level"), At: rapid.Int64().Draw(t, "at")}
		now := rapid.Int64Range(1, math.MaxInt64/2).Draw(t, "now")
		next, v := c.Take(b, now, 1)
		if next.Level < 0 || next.Level > c.capacity || v.Remaining < 0 || v.RetryAfter < 0 || v.Reset < 0 {
			t.Fatalf("from %+v at %d: %+v %+v", b, now, next, v)
		}
	})
}

func BenchmarkBucketTake(b *testing.B) {
	c := NewBucketConfig(1e6, 1e6)
	var s Bucket
	now := int64(time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		now += 1000
		s, _ = c.Take(s, now, 1)
	}
}

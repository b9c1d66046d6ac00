package redis

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const began int64 = 1_764_000_000 * second

// TestSteps runs calls at certain times, in milliseconds.
func TestSteps(t *testing.T) {
	window := NewSlidingWindow(10, time.Second, 100*time.Millisecond)
	bucket := NewTokenBucket(21, 100, 100*time.Millisecond) // 100 ms x 100/s: holds 11
	used := func(number, grantedAt int64, uses ...Use) Settlement {
		s := Settlement{Number: number, At: began + grantedAt*1000, Len: len(uses)}
		if grantedAt < 0 {
			s.At = 0
		}
		copy(s.Uses[:], uses)
		return s
	}
	type step struct {
		at                     int64
		number                 int64
		need, want             int64
		settled                []Settlement
		granted, left, retryMs int64
	}
	for _, tc := range []struct {
		name  string
		limit *Limit
		steps []step
	}{
		{"an unsettled lease counts for its life and a window", window, []step{
			{at: 0, number: 1, want: 10, need: 10, granted: 10, retryMs: 1100},
			{at: 1099, number: 2, want: 1, need: 1, retryMs: 1},
			{at: 1100, number: 3, want: 1, need: 1, granted: 1, left: 9},
		}},
		{"a settled one from its uses on", window, []step{
			{at: 0, number: 1, want: 10, need: 10, granted: 10, retryMs: 1100},
			{at: 50, number: 2, settled: []Settlement{used(1, 0, Use{2000, 4}, Use{30000, 1})}, left: 5},
			{at: 1002, number: 3, want: 9, need: 9, granted: 9, retryMs: 28},
			{at: 1030, number: 4, want: 1, need: 1, granted: 1, retryMs: 1002 + 1100 - 1030},
		}},
		{"a settlement counts once", window, []step{
			{at: 0, number: 1, want: 6, need: 6, granted: 6, left: 4},
			{at: 10, number: 2, settled: []Settlement{used(1, 0, Use{1000, 2})}, left: 8},
			{at: 11, number: 3, settled: []Settlement{used(1, 0, Use{1000, 2}), used(9, 5, Use{1000, 2})}, left: 8},
		}},
		{"a call without an answer is given back", window, []step{
			{at: 0, number: 1, want: 6, need: 6, granted: 6, left: 4},
			{at: 60, number: 2, want: 1, need: 1, settled: []Settlement{used(1, -1)}, granted: 1, left: 9},
		}},
		{"settled before it comes, it is lost for its life and a window", window, []step{
			{at: 0, number: 2, settled: []Settlement{used(1, -1)}, left: 10},
			{at: 60, number: 1, want: 6, need: 6, granted: 6, left: 4},
			{at: 1159, number: 3, left: 4},
			{at: 1160, number: 4, left: 10},
		}},
		{"what nobody waits for is shared", window, []step{
			{at: 0, number: 1, want: 8, need: 1, granted: 5, left: 5}, // half
			{at: 0, number: 2, want: 8, need: 1, granted: 2, left: 3},
			{at: 0, number: 3, want: 8, need: 3, granted: 3, retryMs: 1100}, // what is waited for is not
		}},
		{"a bucket is smaller by what comes in in a lease's life", bucket, []step{
			{at: 0, number: 1, want: 21, need: 21, granted: 11, retryMs: 10},
			{at: 100, number: 2, want: 21, need: 21, granted: 10, retryMs: 10},
		}},
		{"a bucket takes back", bucket, []step{
			{at: 0, number: 1, want: 9, need: 9, granted: 9, left: 2},
			{at: 10, number: 2, settled: []Settlement{used(1, 0, Use{1000, 4})}, left: 8}, // 2 + 1 + 5
			{at: 11, number: 3, settled: []Settlement{used(1, 0, Use{1000, 4})}, left: 8},
		}},
		{"but not what would have overflowed", bucket, []step{
			{at: 0, number: 1, want: 5, need: 5, granted: 5, left: 6},
			{at: 50, number: 2, settled: []Settlement{used(1, 0)}, left: 11}, // 6 + 5 came in: none of the 5 fits on top
			{at: 50, number: 3, want: 11, need: 11, granted: 11, retryMs: 10},
		}},
		{"nor what would have, for what others gave back", bucket, []step{
			{at: 0, number: 1, want: 5, need: 5, granted: 5, left: 6},
			{at: 0, number: 2, want: 6, need: 6, granted: 6, retryMs: 10},
			{at: 10, number: 3, settled: []Settlement{used(1, 0)}, left: 5}, // 1 came in, 4 of the 5 fit on top of 6 + 1
			{at: 50, number: 4, want: 9, need: 9, granted: 9, retryMs: 10},
			{at: 50, number: 5, settled: []Settlement{used(2, 0)}, left: 2}, // without the first two, it would have had 11 - 9
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, e *engine) {
				e.clear(t)
				for _, s := range tc.steps {
					a := &LeaseRequest{Holder: "h", Number: s.number, Proxy: "p", Need: s.need, Want: s.want, Settled: s.settled}
					r := e.call(t, tc.limit, NewPlace("weir:", "a"), a, began+s.at*1000)
					if r.Granted != s.granted || r.Remaining != s.left || r.RetryAfter.Round(time.Millisecond) != time.Duration(s.retryMs)*time.Millisecond {
						t.Fatalf("at %d ms: got %+v, want granted %d, left %d, retry after %d ms", s.at, r, s.granted, s.left, s.retryMs)
					}
				}
			})
		})
	}
}

// TestLargeLimitsCountALittleLonger checks a limit above 512 against docs/guarantees.md: a request may count
// for up to window / 64 longer, never shorter.
func TestLargeLimitsCountALittleLonger(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, e *engine) {
		rapid.Check(t, func(rt *rapid.T) {
			e.clear(t)
			limit := rapid.Int64Range(exact+1, 3000).Draw(rt, "limit")
			window := rapid.SampledFrom([]time.Duration{100 * time.Millisecond, time.Second, 333 * time.Millisecond}).Draw(rt, "window")
			l, p, w := NewSlidingWindow(limit, window, 0), NewPlace("weir:", "a"), micros(window)
			type use struct{ at, n int64 }
			var uses []use
			counts := func(now, longer int64) (sum int64) {
				for _, u := range uses {
					if u.at+w+longer > now {
						sum += u.n
					}
				}
				return sum
			}
			now := began
			var settled []Settlement
			for number := range rapid.Int64Range(1, 60).Draw(rt, "calls") {
				now += rapid.Int64Range(0, w/10).Draw(rt, "step")
				n := rapid.Int64Range(1, limit/3).Draw(rt, "n")
				r := e.call(t, l, p, &LeaseRequest{Holder: "h", Number: number + 1, Proxy: "p", Need: n, Want: n, Settled: settled}, now)
				settled = []Settlement{{Number: number + 1, At: r.At, Uses: [MaxUses]Use{{0, r.Granted}}, Len: 1}}
				if least := min(n, max(limit-counts(now, w/64), 0)); r.Granted < least {
					rt.Fatalf("got %d granted, want at least %d", r.Granted, least)
				}
				uses = append(uses, use{now, r.Granted})
				if sum := counts(now, 0); sum > limit {
					rt.Fatalf("got %d in a window, want at most %d", sum, limit)
				}
				if entries := e.client.ZCard(context.Background(), keysOf(l, p)[2]).Val(); entries > exact+2 {
					rt.Fatalf("got %d entries, want at most %d", entries, exact+2)
				}
			}
		})
	})
}

func TestKeys(t *testing.T) {
	onEngines(t, func(t *testing.T, e *engine) {
		for _, l := range []*Limit{NewSlidingWindow(2, time.Second, 100*time.Millisecond), NewTokenBucket(2, 2, 0)} {
			t.Run(l.script.name, func(t *testing.T) {
				e.clear(t)
				number := int64(0)
				take := func(at int64, key string, want int64, settled ...Settlement) Reply {
					t.Helper()
					number++
					a := &LeaseRequest{Holder: "h", Number: number, Proxy: "p", Need: 1, Want: 1, Settled: settled}
					r := e.call(t, l, NewKeyedPlace("weir:", "a", key, 3), a, began+at*1000)
					if r.Granted != want {
						t.Fatalf("%s at %d ms: got %+v, want %d granted", key, at, r, want)
					}
					return r
				}
				for _, key := range []string{"a", "b", "c"} { // each has a limit of its own
					take(0, key, 1)
					take(0, key, 1)
					take(0, key, 0)
				}
				// Any further ones have one together.
				take(0, "d", 1)
				over := number
				take(0, "e", 1)
				take(0, "f", 0)
				for i := range 20 {
					take(1, fmt.Sprint("g", i), 0)
				}
				if keys := e.client.ZCard(context.Background(), "weir:{a}:2:k").Val(); keys != 3 {
					t.Fatalf("got %d keys with a record, want 3", keys)
				}
				// When records are as good as fresh, others take their places.
				take(1100, "h", 1)
				take(1100, "h", 1)
				take(1100, "h", 0)
				take(1100, "a", 1)
				if l.ttl > 0 { // a lease of the common record is found there, by a key that has its own now
					take(1100, "d", 1)
					before := number
					take(1100, "i", 1)
					take(1100, "d", 1, Settlement{Number: before}, Settlement{Number: over})
				}
			})
		}
	})
}

func TestLiveProxies(t *testing.T) {
	onEngines(t, func(t *testing.T, e *engine) {
		e.clear(t)
		l, p := NewSlidingWindow(100, time.Second, 100*time.Millisecond), NewPlace("weir:", "a")
		for i, tc := range []struct {
			at    int64 // s
			proxy string
			want  int64
		}{{0, "a", 1}, {1, "b", 2}, {2, "a", 2}, {3, "c", 3}, {11, "d", 3}, {12, "b", 3}, {13, "f", 3}, {40, "e", 1}} {
			r := e.call(t, l, p, &LeaseRequest{Holder: "h", Number: int64(i) + 1, Proxy: tc.proxy}, began+tc.at*second)
			if r.Live != tc.want {
				t.Errorf("at %d s: got %d live proxies, want %d", tc.at, r.Live, tc.want)
			}
		}
	})
}

// TestRecordsThatAreTorn are those that Redis evicted in part, and those of a clock that was set back.
func TestRecordsThatAreTorn(t *testing.T) {
	window, bucket := NewSlidingWindow(4, time.Second, 100*time.Millisecond), NewTokenBucket(4, 4, 100*time.Millisecond)
	for _, tc := range []struct {
		name  string
		limit *Limit
		lost  []int
		after int64 // ms
	}{
		{"entries", window, []int{2}, 0},
		{"counts", window, []int{3}, 0},
		{"both", window, []int{2, 3}, 0},
		{"window, clock set back", window, nil, -3_600_000},
		{"state", bucket, []int{4}, 0},
		{"bucket's leases", bucket, []int{2, 3}, 0},
		{"bucket, clock set back", bucket, nil, -3_600_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, e *engine) {
				e.clear(t)
				p := NewPlace("weir:", "a")
				number := int64(0)
				req := func(at int64) Reply {
					number++
					return e.call(t, tc.limit, p, &LeaseRequest{Holder: "h", Number: number, Proxy: "p", Need: 4, Want: 4}, began+at*1000)
				}
				if r := req(0); r.Granted < 3 {
					t.Fatalf("got %+v, want at least 3 granted", r)
				}
				for _, key := range tc.lost {
					e.client.Del(context.Background(), keysOf(tc.limit, p)[key])
				}
				// The limit is not locked for long, nor open for ever.
				granted := int64(0)
				for at := int64(0); at < 4000; at += 100 {
					granted += req(tc.after + at).Granted
				}
				if granted < 8 || granted > 4*4+4+4 {
					t.Errorf("got %d granted in 4 s, want 8 to 24, at 4 a second", granted)
				}
			})
		})
	}
}

func TestBucketsTerms(t *testing.T) {
	for _, tc := range []struct {
		burst    int64
		refill   float64
		ttl      time.Duration
		wantTTL  time.Duration
		capacity float64 // tokens
		rate     float64
	}{
		{20, 1.67, 500 * time.Millisecond, 500 * time.Millisecond, 20 - 0.835, 1.67},
		{20, 50, 500 * time.Millisecond, 190 * time.Millisecond, 10.5, 50},
		{1000, 1000, 500 * time.Millisecond, 499500 * time.Microsecond, 500.5, 1000},
		{2, 50, 500 * time.Millisecond, 10 * time.Millisecond, 1.5, 50},
		{1, 50, 500 * time.Millisecond, 5 * time.Millisecond, 1, 40},
		{1, 1, 500 * time.Millisecond, 5 * time.Millisecond, 1, 1 / 1.005},
		{2, 1000, 500 * time.Millisecond, 5 * time.Millisecond, 1, 2 / 0.006},
		{3, 1, 2 * time.Millisecond, 2 * time.Millisecond, 2.998, 1},
		{3, 1, 0, 0, 3, 1},
	} {
		l := NewTokenBucket(tc.burst, tc.refill, tc.ttl)
		capacity, rate := float64(l.numbers[0])/nano, float64(l.numbers[1])/1e6
		if l.TTL() != tc.wantTTL || capacity > tc.capacity || capacity < tc.capacity-1e-6 || rate > tc.rate+1e-6 || rate < tc.rate-1e-5 {
			t.Errorf("got ttl %v, capacity %v, rate %v, want %+v", l.TTL(), capacity, rate, tc)
		}
	}
}

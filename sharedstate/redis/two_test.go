package redis

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/policy/ratelimit"
)

// TestTwoConfigurations: proxies hold different numbers for one count, and ask for one token after the other. Each
// admits at most its own number of the shared count, in turn and where the second comes later.
func TestTwoConfigurations(t *testing.T) {
	t.Parallel()
	window := func(limit int64, length time.Duration) *Limit {
		return NewSlidingWindow(limit, length, 500*time.Millisecond)
	}
	bucket := func(burst int64, refill float64) *Limit { return NewTokenBucket(burst, refill, 0) }
	adaptive := func(limit int64, length time.Duration) *Limit {
		return NewAdaptive(limit, length, 500*time.Millisecond, ratelimit.AdaptiveConfig{Threshold: 0.1, Backoff: 0.5, Recovery: 2, Interval: time.Hour, MinSamples: 1})
	}
	cases := []struct {
		name         string
		a, b         *Limit
		mostA, mostB int64
		later        int64 // that b admits after a was used up
	}{
		{"window", window(5, 600*time.Second), window(50, 600*time.Second), 5, 50, 45},
		{"shorter window", window(5, 600*time.Second), window(50, 300*time.Second), 5, 50, 45},
		{"longer window", window(5, 60*time.Second), window(50, 600*time.Second), 5, 50, 0}, // a's share is used up
		{"large window", window(5, 600*time.Second), window(600, 600*time.Second), 5, 600, 595},
		{"bucket", bucket(5, 0.0001), bucket(50, 0.001), 5, 50, 45},
		{"window and bucket", window(5, 600*time.Second), bucket(50, 0.001), 5, 50, 0},
		{"bucket and window", bucket(5, 0.0001), window(50, 600*time.Second), 5, 50, 0},
		{"adaptive", adaptive(5, 600*time.Second), adaptive(50, 600*time.Second), 5, 50, 45},
		{"adaptive of another window", adaptive(5, 600*time.Second), adaptive(50, 300*time.Second), 5, 50, 45},
		{"adaptive and window", adaptive(5, 600*time.Second), window(50, 600*time.Second), 5, 50, 45},
		{"adaptive and bucket", adaptive(5, 600*time.Second), bucket(50, 0.001), 5, 50, 0},
	}
	onEngines(t, func(t *testing.T, e *engine) {
		for _, tc := range cases {
			for _, keyed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, by key %t", tc.name, keyed), func(t *testing.T) {
					place := NewPlace("weir:", "a")
					if keyed {
						place = NewKeyedPlace("weir:", "a", "k", 3)
					}
					number, now := int64(0), began
					owed := map[string][]Settlement{}
					// take asks for a token, and reports it as used with the holder's next call.
					take := func(holder string, l *Limit) int64 {
						number++
						now += 1000
						a := &LeaseRequest{Holder: holder, Number: number, Proxy: holder, Need: 1, Want: 1, Settled: owed[holder]}
						r := e.call(t, l, place, a, now)
						owed[holder] = nil
						if r.Granted > 0 && l.ttl > 0 {
							owed[holder] = []Settlement{{Number: number, At: r.At, Uses: [MaxUses]Use{{100, 1}}, Len: 1}}
						}
						return r.Granted
					}
					e.clear(t)
					var a, b int64
					for range 60 {
						b += take("b", tc.b)
						a += take("a", tc.a)
					}
					if want := min(tc.mostB, 60+tc.mostA/2); a < tc.mostA/2 || a > tc.mostA || a+b != want {
						t.Errorf("in turn: got %d and %d of 60 each, want at most %d of the shared count, and %d in all", a, b, tc.mostA, want)
					}
					checkKeys(t, e)

					e.clear(t)
					clear(owed)
					a, b = 0, 0
					for range 10 {
						a += take("a", tc.a)
					}
					for range tc.mostB + 10 {
						b += take("b", tc.b)
					}
					if a != tc.mostA || b != tc.later {
						t.Errorf("one after the other: got %d and %d, want %d and %d", a, b, tc.mostA, tc.later)
					}
					if again := take("a", tc.a); again != 0 {
						t.Errorf("a again: got %d, want 0: the count is above its number", again)
					}
				})
			}
		}
	})
}

// TestFirstCallWithoutTokens: the first call of a configuration only reports, as one of an adaptive limit does. What others
// are granted between that and its first call for tokens counts for it all the same.
func TestFirstCallWithoutTokens(t *testing.T) {
	t.Parallel()
	config := ratelimit.AdaptiveConfig{Threshold: 0.1, Backoff: 0.5, Recovery: 2, Interval: time.Hour, MinSamples: 1}
	onEngines(t, func(t *testing.T, e *engine) {
		for name, limit := range map[string]func(limit int64, window time.Duration) *Limit{
			"window": func(limit int64, window time.Duration) *Limit {
				return NewSlidingWindow(limit, window, 500*time.Millisecond)
			},
			"adaptive": func(limit int64, window time.Duration) *Limit {
				return NewAdaptive(limit, window, 500*time.Millisecond, config)
			},
			"bucket": func(limit int64, _ time.Duration) *Limit { return NewTokenBucket(limit, 0.0001, 0) },
		} {
			a, b := limit(20, 600*time.Second), limit(30, 300*time.Second)
			place, now := NewPlace("weir:", "a"), began
			e.clear(t)
			number := int64(0)
			granted := func(holder string, l *Limit, want int64) (n int64) {
				number++
				now += 1000
				return e.call(t, l, place, &LeaseRequest{Holder: holder, Number: number, Proxy: holder, Need: min(want, 1), Want: min(want, 1)}, now).Granted
			}
			granted("a", a, 1)
			granted("b", b, 0) // reports only
			for range 19 {
				granted("a", a, 1)
			}
			var got int64
			for range 40 {
				got += granted("b", b, 1)
			}
			if got != 10 {
				t.Errorf("%s: got %d tokens of the limit of 30, want 10: 20 are granted by the other configuration", name, got)
			}
		}
	})
}

// TestTwoConfigurationsAgainstAdversary leases for two or three configurations of one count as
// TestScriptsAgainstAdversary does for one. Each grant of a limit is within its own number of what all have used.
func TestTwoConfigurationsAgainstAdversary(t *testing.T) {
	t.Parallel()
	type grant struct {
		limit   int
		number  int64
		at      int64 // µs
		used    int64
		usedAt  int64
		settled bool
	}
	onEngines(t, func(t *testing.T, e *engine) {
		rapid.Check(t, func(rt *rapid.T) {
			e.clear(t)
			limits := make([]*Limit, rapid.IntRange(2, 3).Draw(rt, "limits"))
			for i := range limits {
				window := rapid.SampledFrom([]time.Duration{time.Second, 3 * time.Second, 10 * time.Second}).Draw(rt, "window")
				requests := rapid.OneOf(rapid.Int64Range(1, 30), rapid.Int64Range(513, 520)).Draw(rt, "requests")
				ttl := time.Duration(rapid.Int64Range(1, 500).Draw(rt, "ttl")) * time.Millisecond
				if rapid.Bool().Draw(rt, "bucket") {
					refill := float64(requests) / window.Seconds() * rapid.SampledFrom([]float64{0.2, 1, 10}).Draw(rt, "refill")
					limits[i] = NewTokenBucket(requests, refill, ttl)
				} else {
					limits[i] = NewSlidingWindow(requests, window, min(ttl, window/10))
				}
			}
			place := NewPlace("weir:", "a")
			if rapid.Bool().Draw(rt, "keyed") {
				place = NewKeyedPlace("weir:", "a", "k", 3)
			}
			for i, l := range limits { // all are there from the start
				e.call(t, l, place, &LeaseRequest{Holder: fmt.Sprint("h", i), Number: 1, Proxy: "p", Need: 0, Want: 1}, began-60*second)
			}
			var grants []*grant
			now := began
			for number := range rapid.Int64Range(2, 50).Draw(rt, "calls") {
				i := rapid.IntRange(0, len(limits)-1).Draw(rt, "limit")
				l := limits[i]
				now += rapid.OneOf(rapid.Int64Range(0, max(l.ttl/3, 1)), rapid.Int64Range(0, 2*l.ttl), rapid.Int64Range(0, micros(l.window))).Draw(rt, "step")
				request := &LeaseRequest{Holder: fmt.Sprint("h", i), Number: number + 2, Proxy: "p", Want: rapid.Int64Range(0, l.limit).Draw(rt, "want")}
				request.Need = request.Want
				for _, g := range grants {
					if g.limit != i || g.settled || g.usedAt > now || len(request.Settled) == MaxSettled || rapid.IntRange(0, 2).Draw(rt, "patience") == 0 {
						continue
					}
					s := Settlement{Number: g.number, At: g.at}
					if g.used > 0 {
						s.Uses[0], s.Len = Use{Offset: g.usedAt - g.at, Tokens: g.used}, 1
					}
					request.Settled = append(request.Settled, s)
					g.settled = true
				}
				r := e.call(t, l, place, request, now)
				if r.Granted > 0 {
					used := rapid.SampledFrom([]int64{0, 1, r.Granted / 2, r.Granted}).Draw(rt, "used")
					offset := rapid.SampledFrom([]int64{0, l.ttl / 2, l.ttl}).Draw(rt, "offset")
					grants = append(grants, &grant{limit: i, number: number + 2, at: r.At, used: used, usedAt: r.At + offset})
				}
			}
			for i, l := range limits {
				if l.script == &tokenBucketScript {
					// A bucket that takes at each grant what is used in the end has enough at each grant of its own.
					capacity, rate := float64(l.numbers[0])/nano, float64(l.numbers[1])/1e12
					level, at := capacity, began
					for _, g := range grants {
						level = min(level+rate*float64(g.at-at), capacity) - float64(g.used)
						at = g.at
						if level < -1e-6 && g.limit == i {
							rt.Fatalf("%s: grant %d at %d: got a level of %v, want at least 0", l.name, g.number, g.at, level)
						}
						level = max(level, 0)
					}
					continue
				}
				for n, g := range grants {
					if g.limit != i || g.used == 0 {
						continue
					}
					known := slices.Clone(grants[:n+1])
					slices.SortFunc(known, func(a, b *grant) int { return int(a.usedAt - b.usedAt) })
					for _, last := range known { // windows that end with this use
						if last.usedAt < g.usedAt || last.usedAt-g.usedAt >= l.numbers[1] {
							continue
						}
						sum := int64(0)
						for _, u := range known {
							if u.usedAt > last.usedAt-l.numbers[1] && u.usedAt <= last.usedAt {
								sum += u.used
							}
						}
						if sum > l.limit {
							rt.Fatalf("%s: grant %d at %d: got %d uses in a window of the shared count, want at most %d", l.name, g.number, g.at, sum, l.limit)
						}
					}
				}
			}
		})
	})
}

// TestConfigurationsAreForgotten: one that makes no call for a quarter of an hour is not noted any more, and there are
// at most four.
func TestConfigurationsAreForgotten(t *testing.T) {
	onEngines(t, func(t *testing.T, e *engine) {
		e.clear(t)
		place := NewPlace("weir:", "a")
		known := func() int64 { return e.client.HLen(context.Background(), "weir:{a}:2:v").Val() }
		call := func(number int64, l *Limit, at int64) {
			e.call(t, l, place, &LeaseRequest{Holder: "h", Number: number, Proxy: "p", Need: 1, Want: 1}, began+at*second)
		}
		for i := range int64(6) {
			call(i+1, NewSlidingWindow(5, time.Duration(i+1)*time.Second, 0), i)
		}
		if got := known(); got != 4 {
			t.Errorf("after six: got %d configurations, want 4", got)
		}
		call(7, NewSlidingWindow(5, time.Second, 0), 16*60)
		if got := known(); got != 1 {
			t.Errorf("after 16 minutes: got %d configurations, want 1", got)
		}
	})
}

// TestAdaptiveConfigurations: the limits of two adaptive configurations move beside each other, by the outcomes of both.
func TestAdaptiveConfigurations(t *testing.T) {
	onEngines(t, func(t *testing.T, e *engine) {
		e.clear(t)
		place := NewPlace("weir:", "a")
		config := ratelimit.AdaptiveConfig{Threshold: 0.8, Backoff: 0.5, Recovery: 2, Interval: time.Second, MinSamples: 10}
		a, b := NewAdaptive(100, time.Minute, 0, config), NewAdaptive(1000, time.Minute, 0, config)
		for i, step := range []struct {
			at                  int64
			limit               *Limit
			successes, failures int64
			want                int64
		}{
			{0, a, 10, 0, 100},
			{0, b, 0, 0, 1000},
			{1, a, 0, 10, 50},  // of its own 20 outcomes 10 failed
			{2, b, 10, 0, 500}, // 10 failed and 10 did not: it counts a's failures
			{3, a, 90, 0, 100}, // recovers
			{3, b, 0, 1, 1000}, // so does b, by a's outcomes
			{3, a, 0, 0, 100},  // b's call did not cut it
			{900, b, 0, 0, 1000},
		} {
			r := e.call(t, step.limit, place, &LeaseRequest{
				Holder: "h", Number: int64(i) + 1, Proxy: "p", Need: 1, Want: 1, Successes: step.successes, Failures: step.failures,
			}, began+step.at*second)
			if r.Limit != step.want {
				t.Errorf("step %d at %d s: got a limit of %d, want %d", i, step.at, r.Limit, step.want)
			}
		}
	})
}

package redis

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/policy/ratelimit"
)

const second = int64(1e6) // µs

// steps draws the time to the next call, at the pace of a limit, with pauses.
func steps(limit, window int64) *rapid.Generator[int64] {
	return rapid.OneOf(
		rapid.Int64Range(0, 3),
		rapid.Int64Range(0, 2*window/limit+1),
		rapid.Int64Range(0, 2*window/limit+1),
		rapid.Int64Range(0, 2*window),
		rapid.Map(rapid.Int64Range(-2, 2), func(d int64) int64 { return max(window+d, 0) }),
	)
}

// local takes n from a limit of one proxy, one by one, as far as there is something.
func local(l *ratelimit.Limiter, state []byte, now, n int64) (granted int64) {
	for range n {
		if !l.Take(state, now*1000, 1).Admitted {
			break
		}
		granted++
	}
	return granted
}

// TestLeaseFreeScriptsEqualPureLimits runs a trace on the scripts and on policy/ratelimit. Leases live for no time at
// all, so what is granted is used at that moment.
func TestLeaseFreeScriptsEqualPureLimits(t *testing.T) {
	t.Parallel()
	adaptive := func(t *rapid.T) ratelimit.AdaptiveConfig {
		return ratelimit.AdaptiveConfig{
			Threshold:  rapid.SampledFrom([]float64{0.5, 0.8, 1}).Draw(t, "threshold"),
			Backoff:    rapid.SampledFrom([]float64{0.1, 0.7, 0.95}).Draw(t, "backoff"),
			Recovery:   rapid.SampledFrom([]float64{1.001, 1.2, 3}).Draw(t, "recovery"),
			Interval:   rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second}).Draw(t, "interval"),
			MinSamples: rapid.IntRange(1, 5).Draw(t, "samples"),
		}
	}
	// Up to a second, a tick of the pure window is a nanosecond: both are exact.
	windows := rapid.SampledFrom([]time.Duration{100 * time.Millisecond, time.Second, 317 * time.Millisecond})
	limits := rapid.OneOf(rapid.Int64Range(1, 8), rapid.Int64Range(1, exact))
	for _, tc := range []struct {
		name string
		draw func(t *rapid.T) (*Limit, *ratelimit.Limiter)
	}{
		{"sliding window", func(t *rapid.T) (*Limit, *ratelimit.Limiter) {
			limit, window := limits.Draw(t, "limit"), windows.Draw(t, "window")
			return NewSlidingWindow(limit, window, 0), ratelimit.NewSlidingWindow(limit, window)
		}},
		{"adaptive", func(t *rapid.T) (*Limit, *ratelimit.Limiter) {
			limit, window, c := limits.Draw(t, "limit"), windows.Draw(t, "window"), adaptive(t)
			return NewAdaptive(limit, window, 0, c), ratelimit.NewAdaptive(limit, window, c)
		}},
		{"token bucket", func(t *rapid.T) (*Limit, *ratelimit.Limiter) {
			burst := rapid.Int64Range(1, 50).Draw(t, "burst")
			refill := rapid.OneOf(rapid.Float64Range(0.01, 5000), rapid.SampledFrom([]float64{1e-6, 1.67, 1e6})).Draw(t, "refill")
			return NewTokenBucket(burst, refill, 0), ratelimit.NewTokenBucket(burst, refill)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, e *engine) {
				rapid.Check(t, func(rt *rapid.T) {
					e.clear(t)
					shared, pure := tc.draw(rt)
					state := make([]byte, pure.Size())
					pure.Reset(state)
					place, now := NewPlace("weir:", "a"), 1_764_000_000*second
					pace := steps(shared.Requests(), micros(shared.Window()))
					for number := range rapid.Int64Range(1, 60).Draw(rt, "calls") {
						now += min(pace.Draw(rt, "step"), 100*24*3600*second)
						a := LeaseRequest{Holder: "h", Number: number + 1, Proxy: "p"}
						if shared.Adaptive() && rapid.Bool().Draw(rt, "outcome") {
							success := rapid.Bool().Draw(rt, "success")
							if success {
								a.Successes = 1
							} else {
								a.Failures = 1
							}
							pure.Outcome(state, success, now*1000)
						} else {
							a.Need = rapid.OneOf(rapid.Just(int64(1)), rapid.Int64Range(1, 60)).Draw(rt, "n")
							a.Want = a.Need
						}
						got := e.call(t, shared, place, &a, now)
						granted := local(pure, state, now, a.Want)
						limit, used := pure.Current(state, now*1000)
						ratio, known := pure.SuccessRatio(state)
						want := Reply{
							At: now, Granted: granted, Remaining: max(limit-used, 0), Limit: limit, Live: 1, Lately: 1,
							RatioKnown: known, RetryAfter: got.RetryAfter, Ratio: got.Ratio,
						}
						if got != want || (known && (ratio-got.Ratio > 2e-6 || got.Ratio-ratio > 2e-6)) {
							rt.Fatalf("%s at %d, %+v: got %+v, want %+v, ratio %v", e.name, now, a, got, want, ratio)
						}
						if a.Want > 0 && got.Remaining == 0 {
							v := pure.Take(slices.Clone(state), now*1000, 1)
							if wait := min((v.RetryAfter + 999).Truncate(time.Microsecond), maxWindow); got.RetryAfter != wait {
								rt.Fatalf("%s at %d: next token in %v, want %v", e.name, now, got.RetryAfter, wait)
							}
						}
					}
				})
			})
		})
	}
}

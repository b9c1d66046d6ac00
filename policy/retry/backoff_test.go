package retry

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	ms     = time.Millisecond
	second = time.Second
)

func TestDelays(t *testing.T) {
	for _, tc := range []struct {
		name string
		BackoffConfig
		want [MaxRetries]time.Duration
	}{
		{
			"the defaults",
			BackoffConfig{Base: second, Max: time.Minute, Exponential: 2},
			[...]time.Duration{second, 2 * second, 4 * second, 8 * second, 16 * second, 32 * second, 60 * second, 60 * second, 60 * second},
		},
		{
			"base 1 stays",
			BackoffConfig{Base: 25 * ms, Max: time.Minute, Exponential: 1},
			[...]time.Duration{25 * ms, 25 * ms, 25 * ms, 25 * ms, 25 * ms, 25 * ms, 25 * ms, 25 * ms, 25 * ms},
		},
		{
			"what is whole comes out whole",
			BackoffConfig{Base: second, Max: time.Hour, Exponential: 1.1},
			[...]time.Duration{
				second, 1_100_000_000, 1_210_000_000, 1_331_000_000, 1_464_100_000, 1_610_510_000, 1_771_561_000,
				1_948_717_100, 2_143_588_810,
			},
		},
		{
			"halves go up",
			BackoffConfig{Base: 1, Max: second, Exponential: 1.5},
			[...]time.Duration{1, 2, 2, 3, 5, 8, 11, 17, 26}, // 1 1.5 2.25 3.375 5.0625 7.59 11.39 17.09 25.63
		},
		{
			"at max_delay from the first",
			BackoffConfig{Base: second, Max: second, Exponential: 10},
			[...]time.Duration{second, second, second, second, second, second, second, second, second},
		},
		{
			"max_delay is not overshot",
			BackoffConfig{Base: 300 * ms, Max: 2500 * ms, Exponential: 3},
			[...]time.Duration{300 * ms, 900 * ms, 2500 * ms, 2500 * ms, 2500 * ms, 2500 * ms, 2500 * ms, 2500 * ms, 2500 * ms},
		},
		{
			"NaN does not grow",
			BackoffConfig{Base: ms, Max: second, Exponential: math.NaN()},
			[...]time.Duration{ms, ms, ms, ms, ms, ms, ms, ms, ms},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := NewBackoff(tc.BackoffConfig)
			for n, want := range tc.want {
				if got := b.Delay(n); got != want {
					t.Errorf("Delay(%d) = %v, want %v", n, got, want)
				}
				if got := b.Wait(n, 0, math.MaxUint64); got != want {
					t.Errorf("Wait(%d) = %v, want %v", n, got, want)
				}
			}
			if first, last := b.Delay(-1), b.Delay(MaxRetries); first != tc.want[0] || last != tc.want[MaxRetries-1] {
				t.Errorf("got %v before the first delay and %v after the last, want the first and the last", first, last)
			}
		})
	}
}

// TestDelaysAreExact compares each delay with rational arithmetic: exactly for the float64 factor, and to within 0.6 ns
// for the written decimal.
func TestDelaysAreExact(t *testing.T) {
	held, free := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		written := big.NewRat(rapid.OneOf(
			rapid.Int64Range(10_000, 100_000), rapid.SampledFrom([]int64{10_000, 11_000, 15_000, 20_000, 100_000}),
		).Draw(t, "exponential_base, ten-thousandths"), 10_000)
		factor, _ := written.Float64()
		base := rapid.OneOf(
			rapid.Int64Range(1, 1000), rapid.Int64Range(int64(ms), int64(10*second)), rapid.Int64Range(int64(ms), int64(24*time.Hour)),
			rapid.Int64Range(1, longestDelay),
		).Draw(t, "base_delay")
		most := rapid.OneOf(rapid.Int64Range(base, max(base, int64(24*time.Hour))), rapid.Just[int64](longestDelay)).Draw(t, "max_delay")
		b := NewBackoff(BackoffConfig{Base: time.Duration(base), Max: time.Duration(most), Exponential: factor})
		exact, meant := new(big.Rat).SetInt64(base), new(big.Rat).SetInt64(base)
		for n := range MaxRetries {
			want := new(big.Rat).SetInt64(min(most, nearest(exact)))
			if got := new(big.Rat).SetInt64(int64(b.Delay(n))); got.Cmp(want) != 0 {
				t.Fatalf("%d x %v^%d: got %v, want %v", base, factor, n, b.Delay(n), want)
			}
			if b.Delay(n) == time.Duration(most) {
				held++
			} else {
				free++
				off, _ := new(big.Rat).Sub(meant, new(big.Rat).SetInt64(int64(b.Delay(n)))).Float64()
				if b.Delay(n) <= 24*time.Hour && math.Abs(off) > 0.6 {
					t.Fatalf("%d x %v^%d: got %v, %g ns off, want at most 0.6", base, written, n, b.Delay(n), off)
				}
			}
			exact.Mul(exact, new(big.Rat).SetFloat64(factor))
			meant.Mul(meant, written)
		}
	})
	if held == 0 || free == 0 {
		t.Errorf("the draws are too weak: got %d delays at max_delay and %d below, want both", held, free)
	}
}

// nearest is r rounded to the nearest whole number, halves up; at most the largest int64.
func nearest(r *big.Rat) int64 {
	twice := new(big.Rat).Add(r, big.NewRat(1, 2))
	whole := new(big.Int).Div(twice.Num(), twice.Denom())
	if !whole.IsInt64() {
		return math.MaxInt64
	}
	return whole.Int64()
}

func TestWait(t *testing.T) {
	c := BackoffConfig{Base: second, Max: 10 * second, Exponential: 2}
	plain := NewBackoff(c)
	c.Jitter = true
	jittered := NewBackoff(c)
	for _, tc := range []struct {
		name        string
		n           int
		retryAfter  time.Duration
		plain       time.Duration
		least, most time.Duration // with jitter
	}{
		{"none", 1, 0, 2 * second, 0, 2 * second},
		{"none, at max_delay", 8, 0, 10 * second, 0, 10 * second},
		{"shorter than the delay", 2, second, 4 * second, second, 5 * second},
		{"longer than the delay", 0, 5 * second, 5 * second, 5 * second, 6 * second},
		{"close to max_delay", 2, 9 * second, 9 * second, 9 * second, 10 * second},
		{"max_delay", 0, 10 * second, 10 * second, 10 * second, 10 * second},
		{"beyond max_delay", 0, time.Hour, 10 * second, 10 * second, 10 * second},
		{"of the past", 1, -second, 2 * second, 0, 2 * second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := plain.Wait(tc.n, tc.retryAfter, 12345); got != tc.plain {
				t.Errorf("no jitter: got %v, want %v", got, tc.plain)
			}
			least, most := jittered.Wait(tc.n, tc.retryAfter, 0), jittered.Wait(tc.n, tc.retryAfter, math.MaxUint64)
			if least != tc.least || most != tc.most {
				t.Errorf("full jitter: got %v to %v, want %v to %v", least, most, tc.least, tc.most)
			}
			if middle := jittered.Wait(tc.n, tc.retryAfter, 1<<63); middle != (tc.least+tc.most+1)/2 {
				t.Errorf("full jitter, half way: got %v, want the middle of %v to %v", middle, tc.least, tc.most)
			}
		})
	}
}

// distance is the Kolmogorov-Smirnov statistic times the square root of the number of samples: how far the samples are
// from uniform in [least, most]. For uniform samples it exceeds 2.7 once in a million times.
func distance(samples []time.Duration, least, most time.Duration) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	size, worst := float64(len(sorted)), 0.0
	for i, s := range sorted {
		uniform := float64(s-least) / float64(most-least)
		worst = max(worst, uniform-float64(i)/size, float64(i+1)/size-uniform)
	}
	return worst * math.Sqrt(size)
}

func TestJitterIsUniform(t *testing.T) {
	const enough = 2.7
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, seed))
	b := NewBackoff(BackoffConfig{Base: 250 * ms, Max: 10 * second, Exponential: 2, Jitter: true})
	draw := func(n int, retryAfter time.Duration) (samples []time.Duration) {
		for range 20_000 {
			samples = append(samples, b.Wait(n, retryAfter, random.Uint64()))
		}
		return samples
	}
	for _, tc := range []struct {
		n          int
		retryAfter time.Duration
	}{{0, 0}, {3, 0}, {8, 0}, {1, 3 * second}, {8, 3 * second}} {
		least, most := b.Wait(tc.n, tc.retryAfter, 0), b.Wait(tc.n, tc.retryAfter, math.MaxUint64)
		samples := draw(tc.n, tc.retryAfter)
		if d := distance(samples, least, most); d > enough {
			t.Errorf("seed %d, retry %d, Retry-After %v: got %g from uniform, want at most 2.7", seed, tc.n, tc.retryAfter, d)
		}
		// The test tells uniform from a tenth more.
		if d := distance(samples, least, most+(most-least)/10); d <= enough {
			t.Errorf("seed %d, retry %d: got %g from uniform for a wrong range, want more than 2.7", seed, tc.n, d)
		}
	}
}

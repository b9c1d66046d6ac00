package check

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestFromUniform(t *testing.T) {
	for _, tc := range []struct {
		name    string
		samples []time.Duration
		want    float64
	}{
		{"none", nil, 0},
		{"one in the middle", []time.Duration{50}, 0.5},
		{"one at the end", []time.Duration{100}, 1},
		{"one beyond", []time.Duration{1000}, 1},
		{"one before", []time.Duration{-5}, 1},
		{"evenly spread, in no order", []time.Duration{87, 12, 62, 37}, 0.13 * 2},
		{"all in the first half", []time.Duration{10, 20, 30, 50}, 0.5 * 2},
	} {
		if got := FromUniform(tc.samples, 0, 100); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// As many samples as the tests of delays take tell uniform from what a wrong jitter would draw.
func TestFromUniformTellsThemApart(t *testing.T) {
	const enough, most = 2.5, 200 * time.Millisecond
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for _, tc := range []struct {
		name    string
		draw    func() time.Duration
		uniform bool
	}{
		{"uniform", func() time.Duration { return time.Duration(random.Int64N(int64(most))) }, true},
		{"half fixed, half drawn", func() time.Duration { return most/2 + time.Duration(random.Int64N(int64(most/2))) }, false},
		{"a quarter less", func() time.Duration { return time.Duration(random.Int64N(int64(most * 3 / 4))) }, false},
		{"of steps as long as a third", func() time.Duration { return most / 3 * time.Duration(random.IntN(3)) }, false},
		{"no jitter", func() time.Duration { return most }, false},
	} {
		var samples []time.Duration
		for range 400 {
			samples = append(samples, tc.draw())
		}
		if got := FromUniform(samples, 0, most); (got <= enough) != tc.uniform {
			t.Errorf("seed %d, %s: got a distance of %g from uniform", seed, tc.name, got)
		}
	}
}

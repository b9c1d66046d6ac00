package check

import (
	"math"
	"slices"
	"time"
)

// FromUniform is how far samples are from uniform between least and most: the statistic of Kolmogorov and Smirnov, the
// largest distance between the two distribution functions, times the root of the samples' number. Where they are
// uniform it exceeds x with a probability of 2 exp(-2x²) at most (Dvoretzky, Kiefer, Wolfowitz; Massart 1990): 2.5 four
// times in a million. The result is 0 for no samples.
func FromUniform(samples []time.Duration, least, most time.Duration) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	size, worst := float64(len(sorted)), 0.0
	for i, s := range sorted {
		uniform := min(max(float64(s-least)/float64(most-least), 0), 1)
		worst = max(worst, uniform-float64(i)/size, float64(i+1)/size-uniform)
	}
	return worst * math.Sqrt(size)
}

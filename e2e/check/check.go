// Package check holds the measures that end-to-end tests assert on.
package check

import (
	"slices"
	"time"
)

// MaxInAnyInterval returns the largest number of moments that lie in one interval [s, s+window), wherever s is. The
// order of the moments does not matter. Two moments that are exactly window apart are never in one interval, which is
// how the limits are defined. The result is 0 for no moments; a window of 0 or less holds nothing.
func MaxInAnyInterval(moments []time.Time, window time.Duration) int {
	if window <= 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(moments), time.Time.Compare)
	most, oldest := 0, 0
	for newest, at := range sorted {
		for at.Sub(sorted[oldest]) >= window {
			oldest++
		}
		most = max(most, newest-oldest+1)
	}
	return most
}

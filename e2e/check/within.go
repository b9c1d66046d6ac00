package check

import (
	"slices"
	"time"
)

// Span is the time in which something happened: not before From, not after To.
type Span struct{ From, To time.Time }

// MostWithin returns the largest number of spans that lie wholly in one interval shorter than window, wherever it is:
// what certainly happened within it. A request that a client sent at From and an upstream saw at To was admitted
// between them, so that this is never more than a limit's promise, whatever the delays on the way.
func MostWithin(spans []Span, window time.Duration) int {
	sorted := slices.SortedFunc(slices.Values(spans), func(a, b Span) int { return a.From.Compare(b.From) })
	most := 0
	for i, first := range sorted {
		n := 0
		for _, s := range sorted[i:] {
			if s.From.Sub(first.From) >= window {
				break
			}
			if s.To.Sub(first.From) < window {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

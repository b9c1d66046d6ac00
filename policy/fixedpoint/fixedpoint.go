// Package fixedpoint has the units and the arithmetic of fractions that are kept as whole numbers. All workers come to
// the same result, and rounding has a known direction: a share of 0.2 is 200,000 millionths, and of 7 it is 1 or 2.
package fixedpoint

import (
	"math"
	"math/bits"
)

// How many of a unit make one.
const (
	Milli = 1_000
	Micro = 1_000_000
	Nano  = 1_000_000_000
)

// Millionths is f, clamped to low and high, as the nearest number of millionths. NaN counts as low.
func Millionths(f, low, high float64) int64 {
	if !(f > low) { // NaN included
		f = low
	}
	return int64(math.Round(min(f, high) * Micro))
}

// MulDiv is a x b / c, rounded down; math.MaxInt64 where it is larger than that. a and b are 0 or more, c is 1 or more.
func MulDiv(a, b, c int64) int64 {
	q, _ := mulDiv(a, b, c)
	return q
}

// MulDivUp is MulDiv, rounded up.
func MulDivUp(a, b, c int64) int64 {
	q, r := mulDiv(a, b, c)
	if r > 0 && q < math.MaxInt64 {
		q++
	}
	return q
}

func mulDiv(a, b, c int64) (quotient int64, remainder uint64) {
	high, low := bits.Mul64(uint64(a), uint64(b))
	if high >= uint64(c) {
		return math.MaxInt64, 0
	}
	q, r := bits.Div64(high, low, uint64(c))
	return int64(min(q, math.MaxInt64)), r
}

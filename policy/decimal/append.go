package decimal

import (
	"math"
	"math/bits"
	"strconv"
)

// Append appends n with as few digits as are read as n again, as encoding/json writes it: 0.1, 300, 1e-7, 1e+21. What JSON lacks is
// NaN, +Inf or -Inf.
func Append(to []byte, n float64) []byte {
	abs := math.Abs(n)
	switch {
	case n != n:
		return append(to, "NaN"...)
	case math.IsInf(n, 1):
		return append(to, "+Inf"...)
	case math.IsInf(n, -1):
		return append(to, "-Inf"...)
	}
	if math.Signbit(n) {
		to = append(to, '-')
	}
	if abs < exact && abs == math.Trunc(abs) {
		return strconv.AppendInt(to, int64(abs), 10)
	}
	w, exponent := shortest(abs)
	start := len(to)
	to = strconv.AppendUint(to, w, 10)
	count := len(to) - start
	point := count + exponent // how many digits stand before the point
	if abs >= 1e-6 && abs < 1e21 {
		for ; exponent > 0; exponent-- {
			to = append(to, '0')
		}
		return withPoint(to, start, point)
	}
	if count > 1 {
		to = withPoint(to, start, 1)
	}
	to = append(to, 'e')
	if point > 0 {
		to = append(to, '+')
	}
	return strconv.AppendInt(to, int64(point-1), 10)
}

// withPoint puts a point after the first n digits from start; n may be 0 or less, which adds zeros, or all digits.
func withPoint(to []byte, start, n int) []byte {
	count := len(to) - start
	if n >= count {
		return to
	}
	add := 1
	if n <= 0 {
		add = 2 - n
	}
	for range add {
		to = append(to, '0')
	}
	if n > 0 {
		copy(to[start+n+1:], to[start+n:start+count])
		to[start+n] = '.'
		return to
	}
	copy(to[start+add:], to[start:start+count])
	for i := range add {
		to[start+i] = '0'
	}
	to[start+1] = '.'
	return to
}

// shortest is w and exponent with w x 10^exponent read as n, of the fewest digits, and of those the nearest to n, which is above 0.
func shortest(n float64) (w uint64, exponent int) {
	for places := 1; places < len(powers); places++ {
		scaled := math.Round(n * powers[places])
		if scaled >= exact {
			break
		}
		if scaled/powers[places] == n && scaled > 0 {
			return uint64(scaled), -places
		}
	}
	digits, places, more := eighteen(n)
	for drop := 17; ; drop-- { // 17 digits always suffice
		unit := uint64(powers[drop])
		down, left := digits/unit, digits%unit
		isDown, isUp := nearest(down, drop-places) == n, nearest(down+1, drop-places) == n
		if isUp && (!isDown || left > unit/2 || left == unit/2 && (more || down&1 == 1)) {
			down++
		}
		if isDown || isUp {
			for w, exponent = down, drop-places; w%10 == 0; w /= 10 {
				exponent++
			}
			return w, exponent
		}
	}
}

// eighteen is n x 10^places, rounded down to 18 digits.
func eighteen(n float64) (digits uint64, places int, more bool) {
	const mantissa = 1<<52 - 1
	b := math.Float64bits(n)
	m, scale := b&mantissa, int(b>>52)-1075
	if scale == -1075 {
		scale++ // a subnormal number
	} else {
		m |= mantissa + 1
	}
	// log10(2) is 0.30103: the estimate is right or one off.
	places = 17 - (scale+bits.Len64(m)-1)*30103/100000
	for {
		var x natural
		x.set(m)
		x.raise(places)
		if scale > 0 {
			x.shiftLeft(scale)
		}
		more = x.lower(-places)
		digits, left := x.shiftedRight(max(-scale, 0))
		more = more || left
		switch {
		case digits >= 1e18:
			places--
		case digits < 1e17:
			places++
		default:
			return digits, places, more
		}
	}
}

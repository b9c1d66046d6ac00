package decimal

import "math"

// The powers of ten that a float64 holds exactly.
var powers = [...]float64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

const (
	exact     = 1 << 53 // whole numbers up to it are float64s
	maxDigits = 19      // that fit a uint64
)

// Parse reads decimal digits with an optional sign, fraction and exponent: "12", "-1.5", ".5", "1e-6". A number beyond the range is
// infinite, one too small is 0. Of more than 38 digits the others only decide between two float64s that are as near.
func Parse(s string) (n float64, ok bool) {
	negative := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative, s = s[0] == '-', s[1:]
	}
	var w uint64    // the first 19 digits
	var all natural // more of them
	digits, exponent, at := 0, 0, 0
	seen, point, rest := false, false, false
	for ; at < len(s); at++ {
		c := s[at]
		if c == '.' && !point {
			point = true
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		seen = true
		switch {
		case digits < maxDigits:
			w = w*10 + uint64(c-'0')
			all.set(w)
		case digits < 2*maxDigits:
			all.push(uint64(c - '0'))
		default:
			rest = rest || c != '0'
			exponent++
		}
		if digits > 0 || c != '0' {
			digits++
		}
		if point {
			exponent--
		}
	}
	if !seen {
		return 0, false
	}
	if at < len(s) {
		e, ok := parseExponent(s[at:])
		if !ok {
			return 0, false
		}
		exponent += e
	}
	if digits > maxDigits {
		n = all.scaled(exponent, rest)
	} else {
		n = nearest(w, exponent)
	}
	if negative {
		n = -n
	}
	return n, true
}

// parseExponent reads e12, E+12 or e-12; one beyond a million counts as a million.
func parseExponent(s string) (int, bool) {
	if s[0]|0x20 != 'e' {
		return 0, false
	}
	s = s[1:]
	negative := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative, s = s[0] == '-', s[1:]
	}
	e := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		e = min(e*10+int(s[i]-'0'), 1_000_000)
	}
	if negative {
		e = -e
	}
	return e, s != ""
}

// nearest is the float64 nearest to w x 10^exponent.
func nearest(w uint64, exponent int) float64 {
	switch {
	case w <= exact && 0 <= exponent && exponent < len(powers):
		return float64(w) * powers[exponent]
	case w <= exact && exponent < 0 && -exponent < len(powers):
		return float64(w) / powers[-exponent]
	}
	var x natural
	x.set(w)
	return x.scaled(exponent, false)
}

// scaled is the float64 nearest to x 10^exponent, or to a little more where there is a rest. The number is below 10^38, and another
// one after it.
func (x *natural) scaled(exponent int, rest bool) float64 {
	switch {
	case x.length() == 0 || exponent < -362: // 10^38 x 10^-363 is less than half of the smallest float64
		return 0
	case exponent > 309:
		return math.Inf(1)
	case exponent >= 0:
		x.raise(exponent)
		shift := x.length() - 64
		if shift < 0 {
			x.shiftLeft(-shift)
			return rounded(x.low(), shift, rest)
		}
		top, more := x.shiftedRight(shift)
		return rounded(top, shift, more || rest)
	}
	// Long division: x / by, both scaled so that the quotient is 1 or more and less than 2.
	var by natural
	by.set(1)
	by.raise(-exponent)
	scale := x.length() - by.length()
	if scale > 0 {
		by.shiftLeft(scale)
	} else {
		x.shiftLeft(-scale)
	}
	if x.less(&by) {
		x.shiftLeft(1)
		scale--
	}
	var quotient uint64
	for range 64 {
		quotient <<= 1
		if !x.less(&by) {
			x.subtract(&by)
			quotient |= 1
		}
		x.shiftLeft(1)
	}
	return rounded(quotient, scale-63, rest || x.length() > 0)
}

// rounded is top x 2^scale as the nearest float64; of two that are as near, the even one. The highest bit of top is set.
func rounded(top uint64, scale int, more bool) float64 {
	drop := 11 // of 64 bits 53 stay
	if lowest := -1074 - scale; lowest > drop {
		drop = lowest // a subnormal number has fewer
	}
	if drop > 64 {
		return 0
	}
	var kept uint64
	half := uint64(1) << (drop - 1)
	if drop < 64 {
		kept = top >> drop
	}
	if low := top & (half<<1 - 1); low > half || low == half && (more || kept&1 == 1) {
		kept++
	}
	n := float64(kept)
	for scale += drop; scale > 1000; scale -= 1000 {
		n *= 0x1p1000
	}
	for ; scale < -1000; scale += 1000 {
		n *= 0x1p-1000
	}
	return n * math.Float64frombits(uint64(scale+1023)<<52)
}

package decimal

import "math/bits"

// natural is a whole number below 2^1248, its lowest word first: 10^362 has 1,203 bits and 10^(309+38) has 1,153.
type natural [39]uint32

// set makes x what w is. x is 0 before. Like all methods it takes an address: TinyGo copies an array word by word, in code.
func (x *natural) set(w uint64) { x[0], x[1] = uint32(w), uint32(w>>32) }

// raise multiplies by 10^n.
func (x *natural) raise(n int) {
	for ; n > 0; n-- {
		x.push(0)
	}
}

// push multiplies by 10 and adds a digit.
func (x *natural) push(digit uint64) {
	carry := digit
	for i := range x {
		carry += uint64(x[i]) * 10
		x[i] = uint32(carry)
		carry >>= 32
	}
}

// lower divides by 10^n, rounded down, and reports whether something is left.
func (x *natural) lower(n int) (more bool) {
	for ; n > 0; n-- {
		left := uint64(0)
		for i := len(x) - 1; i >= 0; i-- {
			left = left<<32 | uint64(x[i])
			x[i] = uint32(left / 10)
			left %= 10
		}
		more = more || left > 0
	}
	return more
}

// length is the number of bits without leading zeros.
func (x *natural) length() int {
	for i := len(x) - 1; i >= 0; i-- {
		if x[i] != 0 {
			return 32*i + bits.Len32(x[i])
		}
	}
	return 0
}

func (x *natural) shiftLeft(n int) {
	words, n := n/32, n%32
	for i := len(x) - 1; i >= 0; i-- {
		var wide uint64
		if i >= words {
			wide = uint64(x[i-words]) << 32
		}
		if i > words {
			wide |= uint64(x[i-words-1])
		}
		x[i] = uint32(wide >> (32 - n))
	}
}

// shiftedRight is x / 2^n rounded down, which must be below 2^64, and reports whether something is left.
func (x *natural) shiftedRight(n int) (w uint64, more bool) {
	for i := range x {
		at := 32*i - n // where its lowest bit goes
		switch {
		case at <= -32:
			more = more || x[i] != 0
		case at < 0:
			w |= uint64(x[i] >> -at)
			more = more || x[i]<<(32+at) != 0
		case at < 64:
			w |= uint64(x[i]) << at
		}
	}
	return w, more
}

// low is the number where it is below 2^64.
func (x *natural) low() uint64 { return uint64(x[1])<<32 | uint64(x[0]) }

func (x *natural) less(y *natural) bool {
	for i := len(x) - 1; i >= 0; i-- {
		if x[i] != y[i] {
			return x[i] < y[i]
		}
	}
	return false
}

func (x *natural) subtract(y *natural) {
	borrow := uint32(0)
	for i := range x {
		x[i], borrow = bits.Sub32(x[i], y[i], borrow)
	}
}

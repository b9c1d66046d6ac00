package decimal

import "math"

// Whole reads a whole number from 0 to 2^64 - 1, of digits alone. Unlike strconv's, its mistakes are no values, which would have to
// quote the text.
func Whole(s string) (n uint64, ok bool) {
	if s == "" {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		digit := uint64(s[i] - '0')
		if n > (math.MaxUint64-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, true
}

// Int is Whole for a number that is small; a larger one than 2^31 - 1 counts as that.
func Int(s string) (n int, ok bool) {
	whole, ok := Whole(s)
	return int(min(whole, math.MaxInt32)), ok
}

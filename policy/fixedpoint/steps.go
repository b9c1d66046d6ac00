package fixedpoint

// Steps is how many times 1 is to be multiplied by factor, which is above 1, until it is at least ratio: log(ratio) / log(factor),
// rounded up. math.Log and its table are 5 KB of the module.
func Steps(ratio, factor float64) float64 {
	if ratio <= 1 {
		return 0
	}
	// powers[i] is factor to the power of 2^i. The steps are the binary digits of the largest number of them that does not suffice, and one.
	var powers [64]float64
	top := 0
	for powers[0] = factor; top < len(powers)-1 && powers[top] < ratio; top++ {
		powers[top+1] = powers[top] * powers[top]
	}
	steps, reached := 0.0, 1.0
	for ; top >= 0; top-- {
		steps *= 2
		if reached*powers[top] < ratio {
			reached *= powers[top]
			steps++
		}
	}
	return steps + 1
}

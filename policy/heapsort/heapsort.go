// Package heapsort sorts with the least code. What package slices makes of SortFunc for one type is 3 to 19 KB of the Wasm module, where
// a type is moved field by field; this is 0.3 KB for all of them. In exchange it calls two functions for each step.
package heapsort

// Sort sorts n things, which it knows by their index only. Equal ones may change places.
func Sort(n int, less func(i, j int) bool, swap func(i, j int)) {
	for i := n/2 - 1; i >= 0; i-- {
		sink(i, n, less, swap)
	}
	for last := n - 1; last > 0; last-- {
		swap(0, last)
		sink(0, last, less, swap)
	}
}

// sink moves the thing at i below those that are larger, in a heap of n whose root is the largest.
func sink(i, n int, less func(i, j int) bool, swap func(i, j int)) {
	for {
		below := 2*i + 1
		if below >= n {
			return
		}
		if below+1 < n && less(below, below+1) {
			below++
		}
		if !less(i, below) {
			return
		}
		swap(i, below)
		i = below
	}
}

// Strings sorts strings by their bytes.
func Strings(all []string) {
	Sort(len(all), func(i, j int) bool { return all[i] < all[j] }, func(i, j int) { all[i], all[j] = all[j], all[i] })
}

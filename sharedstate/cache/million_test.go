//go:build !race

package cache

const million = 1_000_000

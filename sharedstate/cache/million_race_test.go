//go:build race

package cache

const million = 20_000

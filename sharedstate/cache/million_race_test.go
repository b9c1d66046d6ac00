//go:build race

package cache

const million = 50_000

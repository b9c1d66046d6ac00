//go:build tinygo

package plugin

// panicText does not come up: under TinyGo a panic is a trap. So the module needs no fmt.
func panicText(any) string { return "a panic" }

//go:build !wasm || !abi021

package host

// Debugging reports whether the host logs at debug. This build can't find out, and returns false.
func Debugging() bool { return false }

//go:build !wasm || !abi021

package host

// Debugging says whether the host logs at debug: this build has no way to ask, and logs nothing there.
func Debugging() bool { return false }

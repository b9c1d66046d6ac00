//go:build wasm && abi021

package host

// Envoy has proxy_get_log_level only for modules of ABI 0.2.1, and refuses one of 0.2.0 that imports it. The SDKs make
// modules of 0.2.0, which filter/postlink changes to 0.2.1. So a build without postlink leaves this file out.

//go:wasmimport env proxy_get_log_level
//go:noescape
func proxyGetLogLevel(level *uint32) uint32

// levelDebug is the ABI's number (proxy_log_level_t); trace is 0.
const levelDebug = 1

// Debugging reports whether the host logs at debug, which its operator may change at any time. It is a host call.
func Debugging() bool {
	var level uint32
	return proxyGetLogLevel(&level) == statusOK && level <= levelDebug
}

//go:build wasm && abi021

package host

// Envoy has proxy_get_log_level only for modules of ABI 0.2.1, and refuses one of 0.2.0 that imports it. The SDK's emulator
// knows 0.2.0 alone, so what the emulator runs is built without this file.

//go:wasmexport proxy_abi_version_0_2_1
func proxyABIVersion() {}

//go:wasmimport env proxy_get_log_level
//go:noescape
func proxyGetLogLevel(level *uint32) uint32

// Debugging reports whether the host logs at debug, which its operator may change at any time. It is a host call.
func Debugging() bool {
	var level uint32
	return proxyGetLogLevel(&level) == statusOK && level <= levelDebug
}

//go:build wasm && !abi021

package host

// What the SDK's emulator, by which tests run the module, needs and Envoy does not: see debugging_wasm.go.

//go:wasmexport proxy_abi_version_0_2_0
func proxyABIVersion() {}

//go:wasmexport proxy_on_log
func proxyOnLog(uint32) {}

//go:wasmexport proxy_on_done
func proxyOnDone(uint32) bool { return true }

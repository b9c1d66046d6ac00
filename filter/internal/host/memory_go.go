//go:build wasm && !tinygo

package host

import "unsafe"

// allocate is memory of Go's heap for what the host returns. The host writes to it and returns its address before anything else
// runs in the VM, so no garbage collection comes between. In a module that postlink has finished it is called when the arena is
// full.
//
//go:wasmexport proxy_on_memory_allocate
func allocate(size uint32) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(make([]byte, size)))
}

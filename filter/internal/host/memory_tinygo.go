//go:build tinygo

package host

import "unsafe"

// allocate is what postlink exports as malloc: memory of the arena, or of the heap when that is full. An exported function
// of TinyGo is a plain function of the module: it needs none of the code that postlink writes for official Go.
//
//export weir_allocate
func allocate(size uint32) unsafe.Pointer {
	size = (size + 7) &^ 7
	if size <= arena.end-arena.next {
		at := arena.next
		arena.next += size
		return unsafe.Pointer(uintptr(at))
	}
	return unsafe.Pointer(unsafe.SliceData(make([]byte, size)))
}

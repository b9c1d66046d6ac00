package host

import "unsafe"

// The host writes what it returns (a property, headers, a record) into memory of the module. In the module that `make
// wasm` builds that is memory of an arena, allocated by a `malloc` that filter/postlink adds. In one that plain `go
// build` makes it is memory of Go's heap, allocated by proxy_on_memory_allocate (memory_go.go).
//
// Each ReuseMemory, at the beginning of a stream's callback, empties the arena. So bytes and strings from this package
// are valid until the callback returns: copy what is needed longer. A callback that does not call ReuseMemory continues
// where the last one stopped, and when the arena is full the host gets memory of the heap.

// arenaSize is more than an ordinary request's headers, properties and records together (some 10 KB), and as much as an
// index of the cache (16 KB) and two entries of the default max_body_bytes with it. Each worker has one.
const arenaSize = 160 << 10

// ArenaMark are the bytes by which postlink finds the arena's header in the module's initial memory. ArenaNext and
// ArenaEnd are the offsets of its fields.
const (
	ArenaMark = "Weir\xa4\x1e\x9d\x53\xc7\x0b\xe8\x66\x2f\xd1\x94\x3a"
	ArenaNext = 16
	ArenaEnd  = 20
)

// arenaHeader is read and written by malloc: 32-bit addresses in the module's memory.
type arenaHeader struct {
	mark      [16]byte
	next, end uint32
}

var (
	// ArenaMark again, as a literal: only a literal is in the initial memory.
	arena = arenaHeader{mark: [16]byte{'W', 'e', 'i', 'r', 0xa4, 0x1e, 0x9d, 0x53, 0xc7, 0x0b, 0xe8, 0x66, 0x2f, 0xd1, 0x94, 0x3a}}

	// On the heap, since it has no pointers: there no collector scans it. TinyGo's scans all that is global, 40,000 words here.
	arenaMemory []byte
)

// ReuseMemory empties the arena. What the host returned before is overwritten by what it returns next.
func ReuseMemory() {
	if arenaMemory == nil {
		arenaMemory = make([]byte, arenaSize)
	}
	arena.next = uint32(uintptr(unsafe.Pointer(&arenaMemory[0])))
	arena.end = arena.next + arenaSize
}

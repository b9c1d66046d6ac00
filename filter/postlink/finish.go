package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/weir-mesh/weir/filter/internal/host"
)

// libc are the exports that TinyGo adds from its C library. Envoy would prefer its malloc to the module's own allocator, and what
// it returns is kept until `free`, which nobody calls: 195 MB after 20,000 requests.
var libc = []string{"malloc", "free", "calloc", "realloc", "fminimum", "fminimumf", "fmaximum", "fmaximumf"}

const (
	allocate       = "proxy_on_memory_allocate"
	tinyGoAllocate = "weir_allocate" // package host, memory_tinygo.go
)

// The sections that are looked at, and what can be exported or imported (WebAssembly core specification 2.0, 5.5).
const (
	sectionType     = 1
	sectionImport   = 2
	sectionFunction = 3
	sectionTable    = 4
	sectionExport   = 7
	sectionElement  = 9
	sectionCode     = 10
	sectionData     = 11

	kindFunction = 0
)

// finish returns the module with `malloc` of the arena, and without libc's exports.
func finish(module []byte) ([]byte, error) {
	sections, err := split(module)
	if err != nil {
		return nil, err
	}
	for _, id := range []byte{sectionImport, sectionFunction, sectionExport, sectionCode, sectionData} {
		if sections.find(id) == nil {
			return nil, fmt.Errorf("it has no section %d", id)
		}
	}
	exports, err := readExports(sections.find(sectionExport).body)
	if err != nil {
		return nil, err
	}
	if at := find(exports, tinyGoAllocate); at >= 0 {
		exports = slices.DeleteFunc(exports, func(e export) bool { return slices.Contains(libc, e.name) })
		exports[find(exports, tinyGoAllocate)].name = "malloc"
	} else if exports, err = addMalloc(sections, exports); err != nil {
		return nil, err
	}
	sections.find(sectionExport).body = writeExports(exports)
	return sections.join(), nil
}

// find is the index of the function of that name, -1 if there is none.
func find(exports []export, name string) int {
	return slices.IndexFunc(exports, func(e export) bool { return e.name == name && e.kind == kindFunction })
}

// addMalloc adds the function `malloc` to a module of official Go, and its export.
func addMalloc(sections sections, exports []export) ([]export, error) {
	original := find(exports, allocate)
	if original < 0 {
		return nil, errors.New("it does not export " + allocate)
	}
	if find(exports, "malloc") >= 0 {
		return nil, errors.New("it exports a malloc already")
	}
	imported, err := importedFunctions(sections.find(sectionImport).body)
	if err != nil {
		return nil, err
	}
	arena, err := findArena(sections.find(sectionData).body)
	if err != nil {
		return nil, err
	}
	functions, types := sections.find(sectionFunction), reader{sections.find(sectionFunction).body}
	count, err := types.number()
	if err != nil {
		return nil, err
	}
	index := exports[original].index
	if index < imported || index-imported >= count {
		return nil, errors.New(allocate + " is no function of the module's own")
	}
	var signature uint32 // of the original, which is malloc's too
	for range index - imported + 1 {
		if signature, err = types.number(); err != nil {
			return nil, err
		}
	}
	if functions.body, err = appendTo(functions.body, number(nil, signature)); err != nil {
		return nil, err
	}
	code := sections.find(sectionCode)
	if code.body, err = appendTo(code.body, mallocBody(arena, index)); err != nil {
		return nil, err
	}
	return append(exports, export{"malloc", kindFunction, imported + count}), nil
}

// findArena finds the address of the arena's header in the initial memory, by its mark.
func findArena(data []byte) (address uint32, err error) {
	segments := reader{data}
	count, err := segments.number()
	if err != nil {
		return 0, err
	}
	found := 0
	for range count {
		flags, err := segments.number()
		if err != nil {
			return 0, err
		}
		if flags != 0 {
			return 0, fmt.Errorf("a data segment of kind %d", flags)
		}
		offset, err := segments.constant()
		if err != nil {
			return 0, err
		}
		content, err := segments.bytes()
		if err != nil {
			return 0, err
		}
		if at := bytes.Index(content, []byte(host.ArenaMark)); at >= 0 {
			address = uint32(offset) + uint32(at)
			found++
		}
	}
	if found != 1 {
		return 0, fmt.Errorf("the arena's mark stands in its memory %d times, not once", found)
	}
	return address, nil
}

// mallocBody is the code of
//
//	malloc(size):
//	    size = (size + 7) & -8
//	    if size <= arena.end - arena.next { arena.next += size; return arena.next - size }
//	    return proxy_on_memory_allocate(size)
func mallocBody(arena, original uint32) []byte {
	next, end := arena+uint32(host.ArenaNext), arena+uint32(host.ArenaEnd)
	const (
		i32          = 0x7f
		call         = 0x10
		localGet     = 0x20
		localSet     = 0x21
		localTee     = 0x22
		load         = 0x28
		store        = 0x36
		constant     = 0x41
		lessOrEqualU = 0x4d
		add          = 0x6a
		subtract     = 0x6b
		and          = 0x71
		ifThen       = 0x04
		none         = 0x40
		ret          = 0x0f
		finish       = 0x0b
		aligned4     = 2
	)
	b := []byte{1, 1, i32} // one local beside the parameter: arena.next
	b = append(b, localGet, 0, constant, 7, add, constant, 0x78, and, localSet, 0)
	b = append(b, constant, 0, load, aligned4)
	b = append(number(b, next), localSet, 1)
	b = append(b, localGet, 0, constant, 0, load, aligned4)
	b = append(number(b, end), localGet, 1, subtract, lessOrEqualU, ifThen, none)
	b = append(b, constant, 0, localGet, 1, localGet, 0, add, store, aligned4)
	b = append(number(b, next), localGet, 1, ret, finish)
	b = append(b, localGet, 0, call)
	b = append(number(b, original), finish)
	return append(number(nil, uint32(len(b))), b...)
}

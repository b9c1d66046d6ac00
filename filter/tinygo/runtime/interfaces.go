package runtime

import "unsafe"

// interfaceEqual compares two interfaces by the kind of their types alone, the one thing that transform/kinds.go leaves of a type's
// description. A value of at most four bytes stands in the interface itself, of any other the address. Structs, arrays and numbers of
// 8 bytes are never compared so in the module: that would be a trap, as it is for what Go itself does not compare.
func interfaceEqual(x, y interface{}) bool {
	a, b := (*_interface)(unsafe.Pointer(&x)), (*_interface)(unsafe.Pointer(&y))
	switch {
	case a.typecode != b.typecode:
		return false
	case a.typecode == nil, a.value == b.value:
		return true
	case uintptr(a.typecode)&3 != 0: // the lowest bits of the address say: pointers to a pointer
		return false
	}
	// The numbers are those of reflectlite.Kind.
	switch *(*uint8)(a.typecode) & 31 {
	case 1, 2, 3, 4, 5, 7, 8, 9, 10, 12: // bool, int to int32, uint to uint32, uintptr
		return false
	case 18, 19, 21: // unsafe.Pointer, channels, pointers
		return false
	case 17: // strings
		return *(*string)(a.value) == *(*string)(b.value)
	}
	runtimePanic("interfaces of a kind that is not compared without reflection")
	return false
}

// hashmapInterfaceHash hashes a map's key where it is an interface or a struct with a string. A module that has such a map does not
// link: take a string as the key.
func hashmapInterfaceHash(itf interface{}, seed uintptr) uint32 {
	needsReflection()
	return 0
}

//go:linkname needsReflection a_map_whose_key_is_neither_a_string_nor_plain_bytes_needs_reflection
func needsReflection()

// Package packed reads and writes the numbers of a state that is packed into bytes, little endian, and seals it with a
// check, so that a torn value in shared data is found and read as a fresh state.
//
//	┌───────────────┬─────────┬──────────────────────┐
//	│ bytes 0 to 3  │  check  │ bytes 8 to the end   │
//	└───────────────┴─────────┴──────────────────────┘
//	        └───────────────┬─────────────┘
//	            folded to the 32 bits of the check
package packed

import "encoding/binary"

// CheckAt is the offset of the check in bytes that are sealed. It takes 4 bytes.
const CheckAt = 4

// minSealed is the smallest number of bytes that hold a check.
const minSealed = CheckAt + 4

// I64 reads 8 bytes of b from at on.
func I64(b []byte, at int) int64 { return int64(binary.LittleEndian.Uint64(b[at:])) }

// PutI64 writes 8 bytes of b from at on.
func PutI64(b []byte, at int, v int64) { binary.LittleEndian.PutUint64(b[at:], uint64(v)) }

// U32 reads 4 bytes of b from at on: 0 to 2^32 - 1.
func U32(b []byte, at int) int64 { return int64(binary.LittleEndian.Uint32(b[at:])) }

// PutU32 writes the low 32 bits of v to 4 bytes of b from at on.
func PutU32(b []byte, at int, v int64) { binary.LittleEndian.PutUint32(b[at:], uint32(v)) }

// Seal writes the check of b, which has at least 8 bytes.
func Seal(b []byte) { binary.LittleEndian.PutUint32(b[CheckAt:], fold(b)) }

// Sealed reports whether the check of b is that of its other bytes.
func Sealed(b []byte) bool {
	return len(b) >= minSealed && binary.LittleEndian.Uint32(b[CheckAt:]) == fold(b)
}

// fold computes the check of b: all but the check itself, word by word, by steps that are each one-to-one. A change of any
// one word changes the 64 bits, and is missed once in 2^32. Zeros have the check zero, so a zeroed state is sealed.
//
// It finds a torn value, not an attacker: whoever can write shared data runs inside this Envoy. A CRC would do the same
// with a table of 8 KB in every worker's cache.
func fold(b []byte) uint32 {
	const prime = 0x9E3779B185EBCA87 // odd, 2^64 / golden ratio
	h := uint64(binary.LittleEndian.Uint32(b)) * prime
	h ^= h >> 29
	i := minSealed
	for ; i+8 <= len(b); i += 8 {
		h = (h ^ binary.LittleEndian.Uint64(b[i:])) * prime
		h ^= h >> 29
	}
	if i < len(b) { // the last word is short
		word := uint64(0)
		for shift, c := range b[i:] {
			word |= uint64(c) << (8 * shift)
		}
		h = (h ^ word) * prime
		h ^= h >> 29
	}
	return uint32(h * prime >> 32)
}

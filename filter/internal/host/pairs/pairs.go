// Package pairs reads and writes a map of headers in the form that a proxy-wasm host and its modules exchange.
//
//	u32 count │ count times: u32 name length, u32 value length │ count times: name, NUL, value, NUL
//
// All numbers are little-endian.
package pairs

import (
	"encoding/binary"
	"unsafe"
)

// Packed is a map in that form, read in place. It yields strings over its own bytes, which are valid until those
// change.
type Packed []byte

// All yields the pairs in order. It ends early if the bytes are not a map in that form.
func (p Packed) All(yield func(name, value string) bool) {
	if len(p) < 4 {
		return
	}
	le := binary.LittleEndian
	n := uint64(le.Uint32(p))
	data := 4 + 8*n
	if data > uint64(len(p)) {
		return
	}
	for i := range n {
		nameLen, valueLen := uint64(le.Uint32(p[4+8*i:])), uint64(le.Uint32(p[8+8*i:]))
		end := data + nameLen + 1 + valueLen
		if end > uint64(len(p)) {
			return
		}
		if !yield(text(p[data:data+nameLen]), text(p[data+nameLen+1:end])) {
			return
		}
		data = end + 1
	}
}

func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Pack writes a map.
func Pack(pairs [][2]string) Packed {
	size := 4
	for _, p := range pairs {
		size += 10 + len(p[0]) + len(p[1])
	}
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, size), uint32(len(pairs)))
	for _, p := range pairs {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p[0])))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p[1])))
	}
	for _, p := range pairs {
		b = append(append(b, p[0]...), 0)
		b = append(append(b, p[1]...), 0)
	}
	return b
}

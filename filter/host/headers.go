package host

import (
	"encoding/binary"
	"unsafe"
)

// Headers is a map as the host hands it over, read in place: u32 count, then for each pair u32 name length and u32
// value length, then for each pair name, NUL, value, NUL.
type Headers []byte

// All walks the pairs in order. Bytes that are no such map end the walk early.
func (h Headers) All(yield func(name, value string) bool) {
	if len(h) < 4 {
		return
	}
	le := binary.LittleEndian
	n := uint64(le.Uint32(h))
	data := 4 + 8*n
	if data > uint64(len(h)) {
		return
	}
	for i := range n {
		nameLen, valueLen := uint64(le.Uint32(h[4+8*i:])), uint64(le.Uint32(h[8+8*i:]))
		end := data + nameLen + 1 + valueLen
		if end > uint64(len(h)) {
			return
		}
		if !yield(text(h[data:data+nameLen]), text(h[data+nameLen+1:end])) {
			return
		}
		data = end + 1
	}
}

// Text reads one of Envoy's attributes that is a text, or ErrNotFound.
func Text(p Path) (string, error) {
	value, err := Property(p)
	return text(value), err
}

// text is a string over the bytes themselves: they are the host's copy, and nobody writes to them.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// packPairs writes pairs in the form that Headers reads.
func packPairs(pairs [][2]string) []byte {
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

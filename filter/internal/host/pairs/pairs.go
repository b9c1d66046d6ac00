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
	c := p.Cursor()
	for c.Next() {
		if !yield(c.Name, c.Value) {
			return
		}
	}
}

// First is the first value under a name, "" if there is none.
func (p Packed) First(name string) string {
	c := p.Cursor()
	for c.Next() {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// Cursor goes through a map's pairs in order. On the path of each request it is used instead of All: TinyGo allocates
// what a function literal captures, and what a `for` statement declares and passes on, once an iteration.
type Cursor struct {
	Name, Value string // of the pair to which Next has gone

	lengths, data []byte // of the pairs that follow
}

// Cursor is one before the first pair. It ends early if the bytes are not a map in that form.
func (p Packed) Cursor() (c Cursor) {
	if len(p) < 4 {
		return c
	}
	if data := 4 + 8*uint64(binary.LittleEndian.Uint32(p)); data <= uint64(len(p)) {
		c.lengths, c.data = p[4:data], p[data:]
	}
	return c
}

// Next goes to the next pair, and reports whether there is one.
func (c *Cursor) Next() bool {
	if len(c.lengths) < 8 {
		return false
	}
	name, value := uint64(binary.LittleEndian.Uint32(c.lengths)), uint64(binary.LittleEndian.Uint32(c.lengths[4:]))
	end := name + 1 + value
	if end > uint64(len(c.data)) {
		c.lengths = nil
		return false
	}
	c.Name, c.Value = text(c.data[:name]), text(c.data[name+1:end])
	c.lengths, c.data = c.lengths[8:], c.data[min(end+1, uint64(len(c.data))):]
	return true
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

package registry

import (
	"encoding/binary"
	"math"
)

// codec writes fields or reads them, in the same order, by the same calls:
//
//	text     varint of its length, its bytes      "aws" is 03 61 77 73
//	enum     one byte
//	boolean  one byte, 0 or 1
//	number   unsigned varint, at most 2^62        300 is ac 02
//	float    IEEE 754, 8 bytes, little endian
//	count    varint of a slice's length; its elements follow
//
// After the first mistake in what it reads, it reads zeros.
type codec struct {
	packed  []byte // writing: what was packed so far; reading: the rest
	writing bool
	broken  bool // reading: the bytes were not packed by a codec
}

// take reads n bytes.
func (c *codec) take(n uint64) []byte {
	if n > uint64(len(c.packed)) {
		c.broken, c.packed = true, nil
		return nil
	}
	taken := c.packed[:n]
	c.packed = c.packed[n:]
	return taken
}

func (c *codec) varint(n *uint64) {
	if c.writing {
		c.packed = binary.AppendUvarint(c.packed, *n)
		return
	}
	var size int
	if *n, size = binary.Uvarint(c.packed); size <= 0 || *n > 1<<62 {
		*n, c.broken, c.packed = 0, true, nil
		return
	}
	c.packed = c.packed[size:]
}

// byte is a value from 0 to most.
func (c *codec) byte(b *byte, most byte) {
	if c.writing {
		c.packed = append(c.packed, *b)
		return
	}
	*b = 0
	if read := c.take(1); len(read) == 1 && read[0] <= most {
		*b = read[0]
	} else {
		c.broken = true
	}
}

func enum[T ~uint8](c *codec, value *T, most T) {
	b := byte(*value)
	c.byte(&b, byte(most))
	*value = T(b)
}

func boolean(c *codec, value *bool) {
	var b byte
	if *value {
		b = 1
	}
	c.byte(&b, 1)
	*value = b == 1
}

// number packs a negative value as 0.
func number[T ~int | ~int64](c *codec, value *T) {
	n := uint64(max(*value, 0))
	c.varint(&n)
	if !c.writing {
		*value = T(n)
	}
}

func float(c *codec, value *float64) {
	if c.writing {
		c.packed = binary.LittleEndian.AppendUint64(c.packed, math.Float64bits(*value))
		return
	}
	*value = 0
	if b := c.take(8); b != nil {
		*value = math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	if math.IsNaN(*value) || math.IsInf(*value, 0) {
		*value, c.broken = 0, true
	}
}

func text(c *codec, value *string) {
	n := uint64(len(*value))
	c.varint(&n)
	if c.writing {
		c.packed = append(c.packed, *value...)
		return
	}
	*value = string(c.take(n))
}

// count packs a slice's length, and makes the slice that is read into. An element takes a byte at least, which bounds
// what a wrong length allocates.
func count[T any](c *codec, values *[]T) {
	n := uint64(len(*values))
	c.varint(&n)
	if c.writing {
		return
	}
	if n > uint64(len(c.packed)) {
		n, c.broken = 0, true
	}
	*values = make([]T, n)
}

// section is the section to pack, a fresh one to read into, or nil where the policy does not have it.
func section[T any](c *codec, value **T, has sections) *T {
	if !c.writing && has != 0 {
		*value = new(T)
	}
	return *value
}

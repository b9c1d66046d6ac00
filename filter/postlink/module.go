package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	preamble     = []byte("\x00asm\x01\x00\x00\x00")
	errTruncated = errors.New("it is cut off")
)

// section is one of a module's: its id and what stands after its length.
type section struct {
	id   byte
	body []byte
}

type sections []*section

// split reads a module into its sections.
func split(module []byte) (all sections, err error) {
	rest, ok := bytes.CutPrefix(module, preamble)
	if !ok {
		return nil, errors.New("it is no WebAssembly module, version 1")
	}
	r := reader{rest}
	for len(r.b) > 0 {
		id := r.b[0]
		r.b = r.b[1:]
		body, err := r.bytes()
		if err != nil {
			return nil, err
		}
		all = append(all, &section{id, body})
	}
	return all, nil
}

// join is the module again.
func (s sections) join() []byte {
	b := bytes.Clone(preamble)
	for _, one := range s {
		b = append(number(append(b, one.id), uint32(len(one.body))), one.body...)
	}
	return b
}

// find returns the section of that id, of which a module has at most one (but for custom ones, id 0).
func (s sections) find(id byte) *section {
	for _, one := range s {
		if one.id == id {
			return one
		}
	}
	return nil
}

// export is an entry of the export section.
type export struct {
	name  string
	kind  byte
	index uint32
}

func readExports(body []byte) (all []export, err error) {
	r := reader{body}
	count, err := r.number()
	if err != nil {
		return nil, err
	}
	for range count {
		name, err := r.bytes()
		if err != nil {
			return nil, err
		}
		kind, err := r.byte()
		if err != nil {
			return nil, err
		}
		index, err := r.number()
		if err != nil {
			return nil, err
		}
		all = append(all, export{string(name), kind, index})
	}
	return all, nil
}

func writeExports(all []export) []byte {
	b := number(nil, uint32(len(all)))
	for _, e := range all {
		b = append(number(b, uint32(len(e.name))), e.name...)
		b = number(append(b, e.kind), e.index)
	}
	return b
}

// importedFunctions counts the functions that the module imports: its own are numbered after them.
func importedFunctions(body []byte) (n uint32, err error) {
	r := reader{body}
	count, err := r.number()
	if err != nil {
		return 0, err
	}
	for range count {
		for range 2 { // module and name
			if _, err := r.bytes(); err != nil {
				return 0, err
			}
		}
		kind, err := r.byte()
		if err != nil {
			return 0, err
		}
		if kind != kindFunction {
			return 0, fmt.Errorf("it imports something of kind %d, where only functions are known", kind)
		}
		if _, err := r.number(); err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// appendTo adds an entry to a section that is a list.
func appendTo(body, entry []byte) ([]byte, error) {
	r := reader{body}
	count, err := r.number()
	if err != nil {
		return nil, err
	}
	return append(append(number(nil, count+1), r.b...), entry...), nil
}

// number appends an unsigned LEB128.
func number(b []byte, n uint32) []byte { return binary.AppendUvarint(b, uint64(n)) }

// reader takes values off the front of some bytes.
type reader struct{ b []byte }

func (r *reader) byte() (byte, error) {
	if len(r.b) == 0 {
		return 0, errTruncated
	}
	b := r.b[0]
	r.b = r.b[1:]
	return b, nil
}

// number reads an unsigned LEB128 of 32 bits.
func (r *reader) number() (uint32, error) {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > 1<<32-1 {
		return 0, errTruncated
	}
	r.b = r.b[size:]
	return uint32(n), nil
}

// bytes reads a length and that many bytes.
func (r *reader) bytes() ([]byte, error) {
	n, err := r.number()
	if err != nil || uint64(n) > uint64(len(r.b)) {
		return nil, errTruncated
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b, nil
}

// constant reads the expression `i32.const n; end`.
func (r *reader) constant() (int32, error) {
	op, err := r.byte()
	if err != nil || op != 0x41 {
		return 0, errors.New("a data segment's offset is no constant")
	}
	var n int64
	for shift := uint(0); ; shift += 7 {
		b, err := r.byte()
		if err != nil || shift > 28 {
			return 0, errTruncated
		}
		n |= int64(b&0x7f) << shift
		if b&0x80 == 0 {
			if b&0x40 != 0 {
				n |= -1 << (shift + 7)
			}
			break
		}
	}
	if end, err := r.byte(); err != nil || end != 0x0b {
		return 0, errors.New("a data segment's offset is no constant")
	}
	return int32(n), nil
}

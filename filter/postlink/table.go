package main

import "errors"

// table is the module's only table, of functions that are called by their place in it.
type table struct {
	base   int32            // the first place
	all    []uint32         // the function at each place
	places map[uint32]int32 // where each function is, the last of its places
}

// readTable reads the element section: one active segment of functions, as LLVM and Binaryen write it.
func readTable(elements []byte) (table, error) {
	t := table{places: map[uint32]int32{}}
	r := reader{elements}
	if segments, err := r.number(); err != nil || segments != 1 {
		return t, errors.New("want one segment of elements")
	}
	if kind, err := r.number(); err != nil || kind != 0 {
		return t, errors.New("want a segment of elements that is active, of functions")
	}
	var err error
	if t.base, err = r.constant(); err != nil {
		return t, err
	}
	count, err := r.number()
	if err != nil {
		return t, err
	}
	for range count {
		function, err := r.number()
		if err != nil {
			return t, err
		}
		t.add(function) // also one that is there twice: the code has both places
	}
	return t, nil
}

// place is where a function is; it gets one if it has none.
func (t *table) place(function uint32) int32 {
	if _, known := t.places[function]; !known {
		t.add(function)
	}
	return t.places[function]
}

func (t *table) add(function uint32) {
	t.places[function] = t.base + int32(len(t.all))
	t.all = append(t.all, function)
}

// replace puts another function at all places of one.
func (t *table) replace(function, by uint32) {
	for i, one := range t.all {
		if one == function {
			t.all[i] = by
			t.places[by] = t.base + int32(i)
		}
	}
	delete(t.places, function)
}

// elements is the element section again.
func (t *table) elements() []byte {
	b := append(signed([]byte{1, 0, 0x41}, t.base), 0x0b)
	b = number(b, uint32(len(t.all)))
	for _, function := range t.all {
		b = number(b, function)
	}
	return b
}

// limits is the table section: one table of functions, which can't grow.
func (t *table) limits() []byte {
	size := uint32(t.base) + uint32(len(t.all))
	return number(number([]byte{1, 0x70, 1}, size), size)
}

// signed appends a signed LEB128.
func signed(b []byte, n int32) []byte {
	for {
		low := byte(n & 0x7f)
		n >>= 7
		if n == 0 && low&0x40 == 0 || n == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}

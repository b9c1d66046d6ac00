package main

import "errors"

// relay moves each large function that is called at many places behind the others, and puts a small one in its place: what it gets it
// passes on, through the table.
//
//	before   call 7        7: (large)
//	after    call 7        7: local.get 0, local.get 1, i32.const PLACE, call_indirect TYPE TABLE    1250: (large)
func (m *functions) relay() error {
	calls := make([]int, len(m.bodies))
	for _, body := range m.bodies {
		err := eachCall(body, func(_, _ int, called uint32) {
			if m.large(called) {
				calls[called-m.imported]++
			}
		})
		if err != nil {
			return err
		}
	}
	for i, n := range calls {
		if int(m.types[i]) >= len(m.params) {
			return errors.New("a function has a type that is not there")
		}
		// What the small one takes: 2 bytes a parameter, its length, its type, its place in the table. A call through the table takes 3 more.
		if params := m.params[m.types[i]]; 3*n > 2*params+14 {
			moved := m.imported + uint32(len(m.bodies))
			m.table.replace(m.imported+uint32(i), moved)
			m.bodies, m.types = append(m.bodies, m.bodies[i]), append(m.types, m.types[i])
			m.bodies[i] = passOn(params, m.types[i], m.table.place(moved))
		}
	}
	return nil
}

// passOn is the code of a function that calls one of the same type, which is at a place in the table.
func passOn(params int, typ uint32, place int32) []byte {
	const get, constant, callIndirect, end = 0x20, 0x41, 0x11, 0x0b
	code := []byte{0} // no locals
	for i := range params {
		code = number(append(code, get), uint32(i))
	}
	code = signed(append(code, constant), place)
	return append(number(append(code, callIndirect), typ), 0, end)
}

// typeNumbers is the function section.
func (m *functions) typeNumbers() []byte {
	b := number(nil, uint32(len(m.types)))
	for _, one := range m.types {
		b = number(b, one)
	}
	return b
}

// readParams reads the type section, in which all types are functions'.
func readParams(types []byte) (params []int, err error) {
	r := reader{types}
	count, err := r.number()
	if err != nil {
		return nil, err
	}
	for range count {
		if kind, err := r.byte(); err != nil || kind != 0x60 {
			return nil, errors.New("want types of functions only")
		}
		of, err := r.bytes()
		if err != nil {
			return nil, err
		}
		if _, err := r.bytes(); err != nil { // the results
			return nil, err
		}
		params = append(params, len(of))
	}
	return params, nil
}

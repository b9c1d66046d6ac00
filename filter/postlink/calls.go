package main

import (
	"errors"
	"fmt"
)

// copied is the size from which a function is called through the table, in bytes of its code.
const copied = 80

// throughTable returns the module with its calls made through the table, but for calls of small functions.
//
// Envoy starts V8 with --no-liftoff: the optimizing compiler compiles each function when the module is loaded. Having no
// profile then, V8 copies the functions that are called directly into their callers, hot or not, until a caller is three times its
// size; and in the copies again (V8 14.6, InliningTree::NoLiftoffBudget). So it compiled 2.5 MB for the 660 KB of Weir, and kept the
// result. What is called through a table is never copied. Small functions stay: their copies are not larger than the calls.
//
// A large function that is called at many places gets a small one in its place, which calls it through the table: the calls stay as
// they are, of 2 or 3 bytes instead of 6, and V8 copies the small one. That is 9 KB of Weir's 615, and neither time nor memory.
//
// It has to be the last step: wasm-opt would make the calls direct again.
func throughTable(module []byte) ([]byte, error) {
	sections, err := split(module)
	if err != nil {
		return nil, err
	}
	m, err := readFunctions(sections)
	if err != nil {
		return nil, err
	}
	if err := m.relay(); err != nil {
		return nil, err
	}
	for changed := true; changed; { // a function that grows by it may become large
		changed = false
		for i, body := range m.bodies {
			if m.bodies[i], err = m.rewrite(body); err != nil {
				return nil, fmt.Errorf("function %d: %w", m.imported+uint32(i), err)
			}
			changed = changed || len(m.bodies[i]) != len(body)
		}
	}
	code := number(nil, uint32(len(m.bodies)))
	for _, body := range m.bodies {
		code = append(number(code, uint32(len(body))), body...)
	}
	sections.find(sectionCode).body = code
	sections.find(sectionElement).body = m.table.elements()
	sections.find(sectionTable).body = m.table.limits()
	sections.find(sectionFunction).body = m.typeNumbers()
	return sections.join(), nil
}

// functions is what a rewritten call depends on.
type functions struct {
	imported uint32   // functions that the module imports: its own come after them
	types    []uint32 // of each function of its own
	params   []int    // how many parameters each type has
	bodies   [][]byte
	table    table
}

// large reports whether a function is called through the table.
func (m *functions) large(function uint32) bool {
	return function >= m.imported && len(m.bodies[function-m.imported]) >= copied
}

// rewrite returns a function's code with `i32.const PLACE, call_indirect TYPE TABLE` for `call FUNCTION`.
func (m *functions) rewrite(body []byte) (out []byte, err error) {
	from := 0
	err = eachCall(body, func(start, end int, called uint32) {
		if !m.large(called) {
			return
		}
		out = append(out, body[from:start]...)
		out = signed(append(out, 0x41), m.table.place(called))
		out = append(number(append(out, 0x11), m.types[called-m.imported]), 0)
		from = end
	})
	return append(out, body[from:]...), err
}

// eachCall calls do with each direct call of a function: where its instruction starts and ends, and what it calls.
func eachCall(body []byte, do func(start, end int, called uint32)) error {
	r := reader{body}
	locals, err := r.number()
	if err != nil {
		return err
	}
	for range locals { // how many of which type
		if err := r.skipNumber(); err != nil {
			return err
		}
		if _, err := r.byte(); err != nil {
			return err
		}
	}
	for len(r.b) > 0 {
		start := len(body) - len(r.b)
		op, called, err := r.instruction()
		if err != nil {
			return err
		}
		if op == callOp {
			do(start, len(body)-len(r.b), called)
		}
	}
	return nil
}

func readFunctions(s sections) (*functions, error) {
	for _, id := range []byte{sectionType, sectionImport, sectionFunction, sectionTable, sectionElement, sectionCode} {
		if s.find(id) == nil {
			return nil, fmt.Errorf("it has no section %d", id)
		}
	}
	m := &functions{}
	var err error
	if m.imported, err = importedFunctions(s.find(sectionImport).body); err != nil {
		return nil, err
	}
	if m.params, err = readParams(s.find(sectionType).body); err != nil {
		return nil, err
	}
	types := reader{s.find(sectionFunction).body}
	count, err := types.number()
	if err != nil {
		return nil, err
	}
	for range count {
		one, err := types.number()
		if err != nil {
			return nil, err
		}
		m.types = append(m.types, one)
	}
	code := reader{s.find(sectionCode).body}
	if n, err := code.number(); err != nil || n != count {
		return nil, errors.New("it has another number of functions than of their code")
	}
	for range count {
		body, err := code.bytes()
		if err != nil {
			return nil, err
		}
		m.bodies = append(m.bodies, body)
	}
	m.table, err = readTable(s.find(sectionElement).body)
	return m, err
}

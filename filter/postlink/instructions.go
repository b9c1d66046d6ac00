package main

import "fmt"

// callOp is the instruction `call`; its operand is the function's index.
const callOp = 0x10

// instruction takes one instruction off the front of a function's code. For `call` it returns the function that is called.
//
// It knows what LLVM and Binaryen write with the features of filter/tinygo/tinygo.json (WebAssembly core specification 2.0, 5.4),
// less references and SIMD. Any other instruction is an error: guessing its length would make a broken module.
func (r *reader) instruction() (op byte, called uint32, err error) {
	if op, err = r.byte(); err != nil {
		return 0, 0, err
	}
	operands := 0 // LEB128 numbers that follow
	switch {
	case op == callOp:
		called, err = r.number()
		return op, called, err
	case op == 0x0e: // br_table: a list of labels, and one more
		count, err := r.number()
		if err != nil {
			return 0, 0, err
		}
		operands = int(count) + 1
	case op == 0xfc:
		sub, err := r.number()
		if err != nil {
			return 0, 0, err
		}
		switch {
		case sub <= 7: // i32.trunc_sat_f32_s …
		case sub == 9 || sub == 11: // data.drop, memory.fill
			operands = 1
		case sub == 8 || sub == 10: // memory.init, memory.copy
			operands = 2
		default:
			return 0, 0, fmt.Errorf("instruction 0xfc %d is not known here", sub)
		}
	case op == 0x43: // f32.const
		return op, 0, r.skip(4)
	case op == 0x44: // f64.const
		return op, 0, r.skip(8)
	case op >= 0x02 && op <= 0x04, // block, loop, if
		op == 0x0c || op == 0x0d, // br, br_if
		op >= 0x20 && op <= 0x24, // local.get … global.set
		op >= 0x3f && op <= 0x42: // memory.size, memory.grow, i32.const, i64.const
		operands = 1
	case op == 0x11, op >= 0x28 && op <= 0x3e: // call_indirect; loads and stores
		operands = 2
	case op <= 0x01, op == 0x05, op == 0x0b, op == 0x0f, op == 0x1a, op == 0x1b, op >= 0x45 && op <= 0xc4: // no operand
	default:
		return 0, 0, fmt.Errorf("instruction 0x%02x is not known here", op)
	}
	for range operands {
		if err := r.skipNumber(); err != nil {
			return 0, 0, err
		}
	}
	return op, 0, nil
}

// skipNumber takes a LEB128 of any size off the front.
func (r *reader) skipNumber() error {
	for {
		b, err := r.byte()
		if err != nil {
			return err
		}
		if b&0x80 == 0 {
			return nil
		}
	}
}

func (r *reader) skip(n int) error {
	if len(r.b) < n {
		return errTruncated
	}
	r.b = r.b[n:]
	return nil
}

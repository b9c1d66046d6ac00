package main

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// The functions of callModule, by index.
const (
	imported uint32 = iota // host.add7
	double                 // large
	increment
	top
)

// callModule has top(x) = double(increment(x)) + add7(x), with a direct call of each, and top in its table, at place 1.
func callModule(doubleSize int, topCode ...byte) []byte {
	const get, i32, multiply, plus, constant, nop, end = 0x20, 0x7f, 0x6c, 0x6a, 0x41, 0x01, 0x0b
	body := func(code ...byte) []byte { return append(number(nil, uint32(len(code))), code...) }
	if topCode == nil {
		topCode = []byte{0, get, 0, callOp, byte(increment), callOp, byte(double), get, 0, callOp, byte(imported), plus, end}
	}
	large := []byte{0, get, 0, constant, 2, multiply}
	large = append(append(large, bytes.Repeat([]byte{nop}, doubleSize-len(large)-1)...), end)
	code := append([]byte{3}, body(large...)...)
	code = append(code, body(0, get, 0, constant, 1, plus, end)...)
	code = append(code, body(topCode...)...)
	return sections{
		{1, []byte{1, 0x60, 1, i32, 1, i32}}, // one type: i32 to i32
		{sectionImport, append([]byte("\x01\x04host\x04add7"), 0, 0)},
		{sectionFunction, []byte{3, 0, 0, 0}},
		{sectionTable, []byte{1, 0x70, 1, 2, 2}},
		{sectionExport, append([]byte("\x01\x03top"), 0, byte(top))},
		{sectionElement, []byte{1, 0, constant, 1, end, 1, byte(top)}},
		{sectionCode, code},
	}.join()
}

func TestCallsThroughTable(t *testing.T) {
	for _, row := range []struct {
		name   string
		size   int // of double
		direct []uint32
		want   []uint32
	}{
		{"a small function is called directly", copied - 1, []uint32{increment, double, imported}, []uint32{increment, double, imported}},
		{"a large one is not", copied, []uint32{increment, double, imported}, []uint32{increment, imported}},
		{"a very large one neither", 1000, []uint32{increment, double, imported}, []uint32{increment, imported}},
	} {
		before := callModule(row.size)
		after, err := throughTable(before)
		if err != nil {
			t.Errorf("%s: throughTable: got error %v, want none", row.name, err)
			continue
		}
		for _, module := range []struct {
			name string
			code []byte
			want []uint32
		}{{"before", before, row.direct}, {"after", after, row.want}} {
			if got := directCalls(t, module.code); !slices.Equal(got, module.want) {
				t.Errorf("%s: direct calls %s: got %v, want %v", row.name, module.name, got, module.want)
			}
			if got := runTop(t, module.code, 20); got != 69 {
				t.Errorf("%s: top(20) %s: got %d, want 42 + 27 = 69", row.name, module.name, got)
			}
		}
		again, err := throughTable(after)
		if err != nil || !bytes.Equal(again, after) {
			t.Errorf("%s: throughTable of its own result: got another module, error %v; want the same", row.name, err)
		}
	}
}

// TestRelay: a large function that is called at many places is called directly, and passes on what it gets.
func TestRelay(t *testing.T) {
	for _, row := range []struct {
		name    string
		size    int // of double
		calls   int
		want    uint64 // top(3)
		bodies  int
		through bool // all calls of double are made through the table, none by a function in its place
	}{
		{"of a small function", copied - 1, 6, 3 << 6, 3, false},
		{"at few places", copied, 5, 3 << 5, 3, true},
		{"at many places", copied, 6, 3 << 6, 4, false},
		{"at more places", 1000, 20, 3 << 20, 4, false},
	} {
		code := append([]byte{0, 0x20, 0}, bytes.Repeat([]byte{callOp, byte(double)}, row.calls)...)
		after, err := throughTable(callModule(row.size, append(code, 0x0b)...))
		if err != nil {
			t.Errorf("%s: got error %v, want none", row.name, err)
			continue
		}
		if got := runTop(t, after, 3); got != row.want {
			t.Errorf("%s: got top(3) = %d, want %d", row.name, got, row.want)
		}
		s, err := split(after)
		if err != nil {
			t.Fatal(err)
		}
		m, err := readFunctions(s)
		if err != nil || len(m.bodies) != row.bodies {
			t.Errorf("%s: got %d functions (%v), want %d", row.name, len(m.bodies), err, row.bodies)
		}
		var want []uint32
		if !row.through {
			want = slices.Repeat([]uint32{double}, row.calls)
		}
		if got := directCalls(t, after); !slices.Equal(got, want) {
			t.Errorf("%s: got direct calls %v, want %v", row.name, got, want)
		}
		if again, err := throughTable(after); err != nil || !bytes.Equal(again, after) {
			t.Errorf("%s: throughTable of its own result: got another module, error %v; want the same", row.name, err)
		}
	}
}

// directCalls is what the module's functions call directly.
func directCalls(t *testing.T, module []byte) (all []uint32) {
	t.Helper()
	s, err := split(module)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readFunctions(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range m.bodies {
		if err := eachCall(body, func(_, _ int, called uint32) { all = append(all, called) }); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func runTop(t *testing.T, module []byte, x uint64) uint64 {
	t.Helper()
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer runtime.Close(ctx) //nolint:errcheck // of an interpreter nothing is left
	i32 := []api.ValueType{api.ValueTypeI32}
	host := runtime.NewHostModuleBuilder("host")
	host.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) { stack[0] += 7 }), i32, i32).Export("add7")
	if _, err := host.Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	instance, err := runtime.Instantiate(ctx, module)
	if err != nil {
		t.Fatalf("instantiate the module: got error %v, want none", err)
	}
	result, err := instance.ExportedFunction("top").Call(ctx, x)
	if err != nil {
		t.Fatalf("top(%d): got error %v, want none", x, err)
	}
	return result[0]
}

// TestUnknownInstructions: a module that is not understood is not changed, but an error.
func TestUnknownInstructions(t *testing.T) {
	for name, code := range map[string][]byte{
		"a SIMD instruction":       {0, 0xfd, 0, 0x0b},
		"a reference":              {0, 0xd2, 1, 0x0b},
		"an unknown 0xfc":          {0, 0xfc, 0x0c, 0, 0, 0x0b},
		"a constant that is cut":   {0, 0x43, 0, 0},
		"a br_table that is cut":   {0, 0x0e, 0x7f},
		"a call without function":  {0, callOp},
		"locals that are cut":      {1, 0x80},
		"an opcode of no proposal": {0, 0xff},
	} {
		if _, err := throughTable(callModule(copied, code...)); err == nil {
			t.Errorf("throughTable of a function with %s: got no error, want one", name)
		}
	}
	module := callModule(copied)
	for size := range module {
		if after, err := throughTable(module[:size]); err == nil {
			t.Errorf("throughTable of its first %d bytes: got %d bytes, want an error", size, len(after))
		}
	}
}

// TestInstructions: each instruction is as long as the specification says.
func TestInstructions(t *testing.T) {
	for _, code := range []string{
		"\x00", "\x02\x40", "\x04\x7f", "\x0c\x81\x01", "\x0e\x02\x00\x81\x01\x02", "\x10\x80\x08", "\x11\x83\x01\x00", "\x1b", "\x20\x80\x01",
		"\x28\x02\x80\x80\x04", "\x3e\x02\x00", "\x3f\x00", "\x41\x80\x80\x7f", "\x42\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00",
		"\x43\x80\x80\x80\x80", "\x44\x80\x80\x80\x80\x80\x80\x80\x80", "\x6a", "\xc4", "\xfc\x07", "\xfc\x08\x01\x00", "\xfc\x0a\x00\x00", "\xfc\x0b\x00",
	} {
		const rest = "\x0b\x0b\x0b\x0b"
		r := reader{[]byte(code + rest)}
		if _, _, err := r.instruction(); err != nil || string(r.b) != rest {
			t.Errorf("instruction of % x: got % x left, error %v; want % x", code+rest, r.b, err, rest)
		}
	}
}

// TestModuleCallsThroughTable looks at the module that ships.
func TestModuleCallsThroughTable(t *testing.T) {
	file := os.Getenv("WEIR_MODULE")
	if file == "" || strings.HasSuffix(file, "-go.wasm") {
		t.Skip("WEIR_MODULE names no module by TinyGo; make unit sets it")
	}
	module, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := split(module)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readFunctions(s)
	if err != nil {
		t.Fatal(err)
	}
	large := 0
	for _, called := range directCalls(t, module) {
		if m.large(called) {
			large++
		}
	}
	if large > 0 {
		t.Errorf("%s: got %d direct calls of functions of %d bytes or more, which V8 copies into their callers; want none: postlink calls has to be "+
			"the last step", file, large, copied)
	}
}

package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/weir-mesh/weir/filter/internal/host"
)

// linked is the filter as Go's linker writes it.
func linked(t *testing.T) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "linked.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, "..")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("got %v: %s, want a module", err, said)
	}
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

func TestFinishedModule(t *testing.T) {
	before := linked(t)
	after, err := finish(before)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	// The interpreter takes half a second for the 4 MB, the compiler five.
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	t.Cleanup(func() {
		if err := runtime.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	old, err := runtime.CompileModule(ctx, before)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := runtime.CompileModule(ctx, after)
	if err != nil {
		t.Fatalf("compile the finished module: got error %v, want none", err)
	}

	// malloc is the only new export, and none is removed.
	for name := range old.ExportedFunctions() {
		if _, stays := compiled.ExportedFunctions()[name]; !stays {
			t.Errorf("export %s: got it removed, want it kept", name)
		}
	}
	for name := range compiled.ExportedFunctions() {
		if _, was := old.ExportedFunctions()[name]; !was && name != "malloc" {
			t.Errorf("got a new export %s, want only malloc", name)
		}
	}

	// A host whose functions return 0 is enough to start it.
	env := runtime.NewHostModuleBuilder("env")
	for _, f := range compiled.ImportedFunctions() {
		if module, name, _ := f.Import(); module == "env" {
			env.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) {
				if len(stack) > 0 {
					stack[0] = 0
				}
			}), f.ParamTypes(), f.ResultTypes()).Export(name)
		}
	}
	if _, err := env.Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	wasi_snapshot_preview1.MustInstantiate(ctx, runtime)
	module, err := runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		t.Fatal(err)
	}
	malloc := func(size uint32) uint32 {
		t.Helper()
		result, err := module.ExportedFunction("malloc").Call(ctx, uint64(size))
		if err != nil {
			t.Fatalf("malloc(%d): got error %v, want none", size, err)
		}
		return uint32(result[0])
	}
	memory := module.Memory()
	content, _ := memory.Read(0, memory.Size())
	header := uint32(bytes.Index(content, []byte(host.ArenaMark)))
	arena := malloc(64) // some memory that nothing else uses, as the arena
	memory.WriteUint32Le(header+host.ArenaNext, arena)
	memory.WriteUint32Le(header+host.ArenaEnd, arena+40)
	for _, step := range []struct{ size, want uint32 }{
		{1, arena}, {8, arena + 8}, {9, arena + 16}, {8, arena + 32},
	} {
		if got := malloc(step.size); got != step.want {
			t.Errorf("malloc(%d) in the arena = %d, want %d", step.size, got, step.want)
		}
	}
	for _, size := range []uint32{1, 100, 1 << 20} {
		got := malloc(size)
		if got >= arena && got < arena+40 || got == 0 || uint64(got)+uint64(size) > uint64(memory.Size()) {
			t.Errorf("malloc(%d) with a full arena = %d, want memory outside of it (%d to %d)", size, got, arena, arena+40)
		}
	}
	memory.WriteUint32Le(header+host.ArenaNext, arena)
	if got := malloc(41); got >= arena && got < arena+40 {
		t.Errorf("malloc(41) in an arena of 40 = %d, want memory outside of it (%d to %d)", got, arena, arena+40)
	}
	if got := malloc(40); got != arena {
		t.Errorf("malloc(40) in an arena of 40 = %d, want %d", got, arena)
	}
}

func TestInvalidModules(t *testing.T) {
	module := linked(t)
	twice, err := finish(module)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"nothing":           nil,
		"some text":         []byte("package main"),
		"a preamble":        preamble,
		"half a module":     module[:len(module)/2],
		"a finished module": twice,
		"no mark":           bytes.ReplaceAll(module, []byte(host.ArenaMark), make([]byte, len(host.ArenaMark))),
	} {
		if _, err := finish(b); err == nil {
			t.Errorf("finish of %s: got no error, want one", name)
		}
	}
}

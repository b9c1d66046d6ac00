//go:build !wasm

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// machines are the compiled module and, for each policy, an instance that has been configured, with a picture of its memory:
// from one script to the next only that is put back.
var machines machinery

type machinery struct {
	once     sync.Once
	err      error
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	host     *hostile // which serves the calls of the module that runs
	ready    map[int]*machine

	officialGo bool
}

type machine struct {
	module api.Module
	memory []byte
	shared map[string]sharedValue
	queue  bool
	ticks  bool
}

func (m *machinery) take(policy int) (*machine, error) {
	m.once.Do(m.start)
	if m.err != nil {
		return nil, m.err
	}
	if ready := m.ready[policy]; ready != nil {
		// Official Go keeps its stack's address outside of the memory, so its instances are used once.
		if memory := ready.module.Memory(); !m.officialGo && memory.Size() == uint32(len(ready.memory)) {
			memory.Write(0, ready.memory)
			return ready, nil
		}
		if err := ready.module.Close(context.Background()); err != nil {
			return nil, err
		}
	}
	ctx := context.Background()
	h := &hostile{shared: map[string]sharedValue{}, streams: map[uint32]bool{}, clock: 1 << 40, configuration: hostilePolicies[policy]}
	m.host = h
	module, err := m.runtime.InstantiateModule(ctx, m.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if err != nil {
		return nil, err
	}
	h.module = module
	h.call("proxy_on_context_create", rootContext, 0)
	h.call("proxy_on_vm_start", rootContext, 0)
	if started := h.call("proxy_on_configure", rootContext, uint64(len(h.configuration))); started != 1 || h.failure != nil {
		return nil, fmt.Errorf("policy %d: got start status %d and %v, want 1; log:\n%s", policy, started, h.failure, strings.Join(h.done, "\n"))
	}
	memory, _ := module.Memory().Read(0, module.Memory().Size())
	ready := &machine{module, append([]byte(nil), memory...), h.shared, h.queue, h.ticks}
	m.ready[policy] = ready
	return ready, nil
}

// drop forgets all instances: a trap leaves the stack pointer where it was.
func (m *machinery) drop() { m.ready = map[int]*machine{} }

func (m *machinery) start() {
	var wasm []byte
	if file := os.Getenv("WEIR_MODULE"); file != "" {
		wasm, m.err = os.ReadFile(file)
	} else {
		wasm, m.err = built()
	}
	if m.err != nil {
		return
	}
	ctx := context.Background()
	m.ready = map[int]*machine{}
	m.runtime = wazero.NewRuntime(ctx)
	if m.compiled, m.err = m.runtime.CompileModule(ctx, wasm); m.err != nil {
		return
	}
	env := m.runtime.NewHostModuleBuilder("env")
	wasi := m.runtime.NewHostModuleBuilder("wasi_snapshot_preview1")
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(wasi)
	for _, f := range m.compiled.ImportedFunctions() {
		from, name, _ := f.Import()
		m.officialGo = m.officialGo || name == "sched_yield"
		if from != "env" && name != "clock_time_get" {
			continue
		}
		builder := env
		if from != "env" {
			builder = wasi
		}
		builder.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, module api.Module, stack []uint64) {
			m.host.module = module
			for i, kind := range f.ParamTypes() {
				if kind == api.ValueTypeI32 { // the upper half may hold anything
					stack[i] = uint64(uint32(stack[i]))
				}
			}
			result := m.host.serve(name, stack)
			if len(f.ResultTypes()) > 0 {
				stack[0] = result
			}
		}), f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	if _, m.err = env.Instantiate(ctx); m.err == nil {
		_, m.err = wasi.Instantiate(ctx)
	}
}

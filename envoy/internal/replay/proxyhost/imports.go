package proxyhost

import (
	"context"
	"fmt"
	"math"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// provide gives the module what it imports: proxy-wasm's calls, and of WASI the environment, time and random numbers of this
// package. A call that it imports and this host does not have is an error at once, and not when it is made.
func (h *Host) provide(ctx context.Context, compiled wazero.CompiledModule) error {
	env := h.runtime.NewHostModuleBuilder("env")
	wasi := h.runtime.NewHostModuleBuilder(wasi_snapshot_preview1.ModuleName)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(wasi)
	own := map[string]hostCall{"clock_time_get": (*Host).clockTimeGet, "random_get": (*Host).randomGet}
	for _, f := range compiled.ImportedFunctions() {
		from, name, _ := f.Import()
		to, call := wasi, own[name]
		if from == "env" {
			to, call = env, calls[name]
			if call == nil {
				return fmt.Errorf("the module needs %s, which this command does not have: it is of another version", name)
			}
		}
		if call != nil {
			to.NewFunctionBuilder().WithGoModuleFunction(h.serve(call, f.ParamTypes()), f.ParamTypes(), f.ResultTypes()).Export(name)
		}
	}
	for _, builder := range []wazero.HostModuleBuilder{env, wasi} {
		if _, err := builder.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// hostCall is a call that the module makes, with its parameters.
type hostCall func(h *Host, ctx context.Context, p []uint64) (status uint64)

func (h *Host) serve(call hostCall, parameters []api.ValueType) api.GoModuleFunc {
	masks := make([]uint64, len(parameters))
	for i, kind := range parameters {
		masks[i] = math.MaxUint64
		if kind == api.ValueTypeI32 { // the upper half may hold anything: in a module by official Go it does
			masks[i] = math.MaxUint32
		}
	}
	return func(ctx context.Context, module api.Module, stack []uint64) {
		if h.memory == nil { // _initialize runs before InstantiateModule returns
			h.memory = module.Memory()
		}
		for i, mask := range masks {
			stack[i] &= mask
		}
		stack[0] = call(h, ctx, stack)
	}
}

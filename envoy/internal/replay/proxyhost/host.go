// Package proxyhost is a proxy for one WebAssembly filter: enough of proxy-wasm 0.2.1 that weir.wasm decides about requests as it
// does in Envoy, and not a proxy. It forwards nothing. The caller says when a request comes, and when and how it ends.
//
//	                 Begin(stream)            on_context_create, on_request_headers
//	caller ────────► Respond(stream, …)  ───► on_response_headers                     ┌────────────┐
//	 │   ▲           End(stream)              on_response_body, on_delete             │ weir.wasm  │
//	 │   │           Advance(to) ───────────► on_tick, each time that a period passed │ in wazero  │
//	 │   └── Events: a local reply, a counter, a line of the log                      └─────┬──────┘
//	 │                                                                                      │ host calls
//	 └── Clock ──► clock_time_get   stream ──► properties, header maps   here ──► shared data, metrics, random_get
//
//	calls.go     the host calls        imports.go  how the module finds them, and WASI
//	metrics.go   counters and gauges   stream.go   what a request is
//
// All time is the caller's, so that a day of requests passes in seconds. One worker, one plugin. There is no other server: a call
// to one (proxy_http_call) fails as it does in Envoy without that cluster.
package proxyhost

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Events is told what the module does. Its arguments are valid until it returns.
type Events interface {
	// Counted is told that a counter has grown.
	Counted(name string, by uint64)
	// Logged is told a line of the module's log, with proxy-wasm's level: 2 is info, 4 error.
	Logged(level uint32, line []byte)
}

// Options of a Host.
type Options struct {
	Configuration []byte            // of the plugin
	Environment   map[string]string // that the module sees
	Events        Events
	Start         time.Time               // what the clock shows while the plugin starts
	Cache         wazero.CompilationCache // of compiled modules; nil: none
}

// pluginContext is the number of the only plugin's context. Streams have the numbers that follow.
const pluginContext = 1

// Host is one instance of the module with its plugin. One goroutine uses it.
type Host struct {
	runtime wazero.Runtime
	module  api.Module
	memory  api.Memory
	events  Events

	configuration []byte
	clock         int64 // nanoseconds since 1970
	period        int64 // of ticks; 0: none
	tickAt        int64
	random        uint64

	stream  *Stream // whose callback runs; nil: the plugin's
	streams map[uint32]*Stream
	last    uint32 // number of a context

	shared  map[string]*sharedValue
	metrics metrics
	failed  error // of a host call that the module made in a wrong way

	calls struct {
		allocate, create, requestHeaders, responseHeaders, responseBody, remove, tick api.Function
	}
	stack [8]uint64
}

// New compiles the module, starts it and its plugin. It takes a second of CPU.
func New(ctx context.Context, wasm []byte, o Options) (*Host, error) {
	h := &Host{
		events: o.Events, configuration: o.Configuration, clock: o.Start.UnixNano(), random: 1,
		streams: map[uint32]*Stream{}, last: pluginContext, shared: map[string]*sharedValue{}, metrics: newMetrics(),
	}
	config := wazero.NewRuntimeConfig()
	if o.Cache != nil {
		config = config.WithCompilationCache(o.Cache)
	}
	h.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if err := h.start(ctx, wasm, o.Environment); err != nil {
		return nil, errors.Join(err, h.Close(ctx))
	}
	return h, nil
}

// Close frees what the module has.
func (h *Host) Close(ctx context.Context) error { return h.runtime.Close(ctx) }

func (h *Host) start(ctx context.Context, wasm []byte, environment map[string]string) (err error) {
	compiled, err := h.runtime.CompileModule(ctx, wasm)
	if err != nil {
		return err
	}
	if err = h.provide(ctx, compiled); err != nil {
		return err
	}
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize")
	for name, value := range environment {
		config = config.WithEnv(name, value)
	}
	if h.module, err = h.runtime.InstantiateModule(ctx, compiled, config); err != nil {
		return err
	}
	h.memory = h.module.Memory()
	if err = h.find(); err != nil {
		return err
	}
	if err = h.call(ctx, h.calls.create, pluginContext, 0); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		size uint64
	}{{"proxy_on_vm_start", 0}, {"proxy_on_configure", uint64(len(h.configuration))}} {
		f, err := h.exported(step.name)
		if err != nil {
			return err
		}
		if err = h.call(ctx, f, pluginContext, step.size); err != nil {
			return err
		}
		if h.stack[0]&0xffffffff == 0 {
			return fmt.Errorf("the module refuses to start (%s)", step.name)
		}
	}
	return nil
}

// find finds what the module exports.
func (h *Host) find() (err error) {
	if h.calls.allocate = h.module.ExportedFunction("malloc"); h.calls.allocate == nil { // a module of `go build` alone
		h.calls.allocate, err = h.exported("proxy_on_memory_allocate")
	}
	for name, f := range map[string]*api.Function{
		"proxy_on_context_create": &h.calls.create, "proxy_on_delete": &h.calls.remove,
		"proxy_on_tick": &h.calls.tick, "proxy_on_request_headers": &h.calls.requestHeaders,
		"proxy_on_response_headers": &h.calls.responseHeaders, "proxy_on_response_body": &h.calls.responseBody,
	} {
		found, missing := h.exported(name)
		*f, err = found, errors.Join(err, missing)
	}
	return err
}

func (h *Host) exported(name string) (api.Function, error) {
	f := h.module.ExportedFunction(name)
	if f == nil {
		return nil, fmt.Errorf("the module does not export %s: it is none for proxy-wasm 0.2.1", name)
	}
	return f, nil
}

// call calls the module. Its result is the first of the stack.
func (h *Host) call(ctx context.Context, f api.Function, parameters ...uint64) error {
	copy(h.stack[:], parameters)
	if err := f.CallWithStack(ctx, h.stack[:]); err != nil {
		return fmt.Errorf("the module trapped in %s: %w", f.Definition().Name(), err)
	}
	return h.failed
}

// Advance lets time pass, with the ticks that are due until then, those of that moment among them. Where no request is in
// flight there is nothing for most of them to do: of a longer pause only the first ticks and the last second's are made.
func (h *Host) Advance(ctx context.Context, to time.Time) error {
	const (
		pause = 10 * int64(time.Second)
		rest  = int64(time.Second)
	)
	end := to.UnixNano()
	for made := 0; h.period > 0 && h.tickAt <= end; made++ {
		if made%1024 == 1023 && ctx.Err() != nil { // a request was in flight for days
			return ctx.Err()
		}
		if made >= 3 && len(h.streams) == 0 && end-h.tickAt > pause {
			h.tickAt = end - rest
		}
		h.clock = max(h.clock, h.tickAt)
		h.tickAt += h.period
		h.stream = nil
		if err := h.call(ctx, h.calls.tick, pluginContext); err != nil {
			return err
		}
	}
	h.clock = max(h.clock, end)
	return nil
}

//go:build wasm

package host

// What the host calls, by the names of proxy-wasm 0.2. Both toolchains export a function by this directive. What is missing
// here the host answers by itself: it may delete at once (proxy_on_done), and logs without the module (proxy_on_log).

// current are the plugins and streams of this VM: the host calls plain functions.
var current contexts

// Register makes vm the module's entry point; call it once, from init.
func Register(vm VMContext) { current.vm = vm }

//go:wasmexport proxy_on_vm_start
func proxyOnVMStart(_, _ uint32) bool { return current.vm != nil }

//go:wasmexport proxy_on_configure
func proxyOnConfigure(plugin, size uint32) bool { return bool(current.configure(plugin, int(size))) }

//go:wasmexport proxy_on_context_create
func proxyOnContextCreate(id, parent uint32) { current.create(id, parent) }

//go:wasmexport proxy_on_delete
func proxyOnDelete(id uint32) { current.remove(id) }

//go:wasmexport proxy_on_tick
func proxyOnTick(plugin uint32) { current.tick(plugin) }

//go:wasmexport proxy_on_queue_ready
func proxyOnQueueReady(plugin, queue uint32) { current.queueReady(plugin, queue) }

//go:wasmexport proxy_on_http_call_response
func proxyOnHTTPCallResponse(plugin, call, _, bodySize, _ uint32) {
	current.callEnded(plugin, call, int(bodySize))
}

//go:wasmexport proxy_on_request_headers
func proxyOnRequestHeaders(id, n, ended uint32) Action {
	if s := current.streams.get(id); s != nil {
		return s.OnHTTPRequestHeaders(int(n), ended != 0)
	}
	return Continue
}

//go:wasmexport proxy_on_request_body
func proxyOnRequestBody(id, size, ended uint32) Action {
	if s := current.streams.get(id); s != nil {
		return s.OnHTTPRequestBody(int(size), ended != 0)
	}
	return Continue
}

//go:wasmexport proxy_on_request_trailers
func proxyOnRequestTrailers(id, n uint32) Action {
	if s := current.streams.get(id); s != nil {
		return s.OnHTTPRequestTrailers(int(n))
	}
	return Continue
}

//go:wasmexport proxy_on_response_headers
func proxyOnResponseHeaders(id, n, ended uint32) Action {
	if s := current.streams.get(id); s != nil {
		return s.OnHTTPResponseHeaders(int(n), ended != 0)
	}
	return Continue
}

//go:wasmexport proxy_on_response_body
func proxyOnResponseBody(id, size, ended uint32) Action {
	if s := current.streams.get(id); s != nil {
		return s.OnHTTPResponseBody(int(size), ended != 0)
	}
	return Continue
}

//go:wasmexport proxy_on_response_trailers
func proxyOnResponseTrailers(id, n uint32) Action {
	if s := current.streams.get(id); s != nil {
		return s.OnHTTPResponseTrailers(int(n))
	}
	return Continue
}

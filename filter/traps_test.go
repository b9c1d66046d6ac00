//go:build !wasm

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/weir-mesh/weir/filter/internal/host/pairs"
)

// FuzzTraps drives the compiled module as a host does, with whatever a client, an upstream, a bridge or a stranger in shared
// data may send: no callback may trap. In TinyGo's edition a trap costs the worker all requests that it has in flight. In
// official Go's, which `go test` without WEIR_MODULE builds, a panic is recovered and logged, and counts as much here.
//
// The input is a script: its first byte chooses a policy, then each step is an event, whose data it chooses as well.
func FuzzTraps(f *testing.F) {
	for policy := range hostilePolicies {
		for seed := range 6 {
			// A walk through everything, as pseudo-random as it needs to be to differ by seed.
			script, x := []byte{byte(policy)}, uint32(seed)*2654435761+uint32(policy)+1
			for range 1500 {
				x ^= x << 13
				x ^= x >> 17
				x ^= x << 5
				script = append(script, byte(x>>11))
			}
			f.Add(script)
		}
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) == 0 {
			return
		}
		machine, err := machines.take(int(script[0]) % len(hostilePolicies))
		if err != nil {
			t.Fatal(err)
		}
		h := &hostile{script: script[1:], module: machine.module, shared: map[string]sharedValue{}, streams: map[uint32]bool{}, clock: 1 << 40, queue: machine.queue, ticks: machine.ticks}
		for key, value := range machine.shared {
			h.shared[key] = value
		}
		for len(h.script) > 0 && h.failure == nil {
			h.step()
		}
		if h.failure != nil {
			machines.drop()
			t.Fatalf("%v\nafter:\n%s", h.failure, strings.Join(h.done[max(0, len(h.done)-12):], "\n"))
		}
	})
}

// hostilePolicies have every section, between them.
var hostilePolicies = []string{
	`{"clusters": {"a": {
		"rate_limit": {"algorithm": "token_bucket", "burst_capacity": 5, "refill_rate": 3, "headers": "all"},
		"circuit_breaker": {"failure_threshold": 2, "recovery_timeout": "1s", "timeout": "2s", "failure_rate": {}, "slow_calls": {}},
		"bulkhead": {"max_concurrent": 3}, "fallback": {"default_data": {"body": {"a": 1}}, "degraded": {}}, "retry": {"driver": "envoy"}},
		"b*": {"rate_limit": {"algorithm": "adaptive", "requests": 5, "window_size": "1s", "key": ["client_ip", {"header": "x-api-key"}, {"query": "user"}, {"cookie": "sid"}, {"header": "authorization"}]},
			"circuit_breaker": {}}}}`,
	`{"clusters": {"a": {
		"rate_limit": {"requests": 5, "window_size": "1s", "key": [{"client_ip": {"ipv4_prefix": 24, "ipv6_prefix": 64}}], "max_keys": 64},
		"circuit_breaker": {"failure_threshold": 1, "recovery_timeout": "100ms"}, "fallback": {"fallback_data_ttl": "2s", "shared": true},
		"retry": {"driver": "filter", "via": "weir_attempts"}}, "b": {"fallback": {}, "failover": {"to": ["a"]}, "circuit_breaker": {"failure_threshold": 1}}}}`,
	`{"clusters": {"a": {"rate_limit": {"requests": 5, "window_size": "1s", "scope": "mesh"}, "circuit_breaker": {}},
		"b": {"rate_limit": {"algorithm": "token_bucket", "burst_capacity": 5, "refill_rate": 3, "scope": "mesh", "key": [{"header": "x-api-key"}]}}},
		"redis": {"cluster": "redis", "dialect": "webdis", "on_error": "local"}}`,
	`{"clusters": {"a": {"rate_limit": {"algorithm": "adaptive", "requests": 5, "window_size": "1s", "scope": "mesh"}, "retry": {"driver": "filter", "via": "weir_attempts"}}},
		"redis": {"cluster": "redis", "dialect": "upstash", "token": "t", "on_error": "allow"}}`,
	`{"admin": {}}`,
	`{"attempts": {}}`,
}

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

const rootContext = 1

type sharedValue struct {
	bytes []byte
	cas   uint32
}

// hostile is a host that answers from a script.
type hostile struct {
	script        []byte
	module        api.Module
	configuration string
	clock         uint64
	shared        map[string]sharedValue
	keys          []string        // of shared, in the order of their making
	streams       map[uint32]bool // that have begun
	calls         []uint64        // HTTP calls that are not answered
	last          uint32          // the last stream, call, metric or queue
	queue         bool            // the module has registered one
	ticks         bool            // it wants ticks
	headers       []byte          // what the running callback's maps hold
	body          []byte
	failure       error
	done          []string // what was done, for people
}

func (h *hostile) next() byte {
	if len(h.script) == 0 {
		return 0
	}
	b := h.script[0]
	h.script = h.script[1:]
	return b
}

func (h *hostile) below(n int) int { return int(h.next()) % n }

// raw is what stands next in the script.
func (h *hostile) raw() []byte {
	n, squared := h.below(40), h.below(8) == 0
	if squared {
		n *= n
	}
	n = min(n, len(h.script))
	b := h.script[:n]
	h.script = h.script[n:]
	return b
}

// one of these, at times with something in it that does not belong there.
func (h *hostile) one(of ...string) string {
	s := of[h.below(len(of))]
	switch h.below(8) {
	case 0:
		return string(h.raw())
	case 1:
		at := h.below(len(s) + 1)
		return s[:at] + string(h.raw()) + s[at:]
	case 2:
		return s[:h.below(len(s)+1)]
	}
	return s
}

// call calls an export. A trap is a failure.
func (h *hostile) call(name string, args ...uint64) uint64 {
	machines.host = h
	h.note("%s%v", name, args)
	results, err := h.module.ExportedFunction(name).Call(context.Background(), args...)
	if err != nil {
		h.failure = fmt.Errorf("%s%v: %w", name, args, err)
	}
	if len(results) == 0 || err != nil {
		return 0
	}
	return results[0]
}

func (h *hostile) note(format string, args ...any) {
	h.done = append(h.done, fmt.Sprintf(format, args...))
}

// step is one event. Envoy's order of a stream's events is kept: what could not happen need not be survived.
func (h *hostile) step() {
	ended := uint64(h.below(2))
	stream := uint64(h.last)
	if n := len(h.streams); n > 0 { // some stream that has begun
		skip := h.below(n)
		for id := uint32(2); ; id++ {
			if h.streams[id] {
				if skip--; skip < 0 {
					stream = uint64(id)
					break
				}
			}
		}
	}
	h.headers, h.body = nil, nil
	switch event := h.below(16); {
	case event < 4 || len(h.streams) == 0 && event < 11:
		h.last++
		stream = uint64(max(h.last, 2))
		h.last = uint32(stream)
		h.streams[h.last] = true
		h.headers = h.requestHeaders()
		h.call("proxy_on_context_create", stream, rootContext)
		h.call("proxy_on_request_headers", stream, h.count(), ended)
	case event == 4:
		h.body = []byte(h.one("", "body", `{"id": 1}`))
		h.call("proxy_on_request_body", stream, uint64(len(h.body)), ended)
	case event == 5:
		h.headers = pairs.Pack([][2]string{{"grpc-status", h.one("0")}})
		h.call("proxy_on_request_trailers", stream, h.count())
	case event < 9:
		h.headers = h.responseHeaders()
		h.call("proxy_on_response_headers", stream, h.count(), ended)
	case event == 9:
		h.body = []byte(h.one("", "body", `{"services": []}`, strings.Repeat("x", 70000)))
		h.call("proxy_on_response_body", stream, uint64(len(h.body)), ended)
	case event == 10:
		h.headers = pairs.Pack([][2]string{{"grpc-status", h.one("0", "14")}})
		h.call("proxy_on_response_trailers", stream, h.count())
	case event == 11 && len(h.streams) > 0:
		delete(h.streams, uint32(stream))
		h.call("proxy_on_delete", stream)
	case event == 12 && h.ticks:
		h.call("proxy_on_tick", rootContext)
	case event == 13 && h.queue:
		h.call("proxy_on_queue_ready", rootContext, 1)
	case event == 14 && len(h.calls) > 0:
		at := h.below(len(h.calls))
		id := h.calls[at]
		h.calls = append(h.calls[:at], h.calls[at+1:]...)
		h.body = []byte(h.reply())
		h.headers = h.responseHeaders()
		h.call("proxy_on_http_call_response", rootContext, id, h.count(), uint64(len(h.body)), 0)
	default:
		h.clock += uint64(h.next()) * uint64(h.next()) * 1e6
		if len(h.keys) > 0 { // a stranger writes over a value
			key := h.keys[h.below(len(h.keys))]
			value := append([]byte(nil), h.shared[key].bytes...)
			switch h.below(4) {
			case 0:
				value = append([]byte(nil), h.raw()...)
			case 1:
				value = value[:h.below(len(value)+1)]
			case 2:
				value = append(value, h.raw()...)
			default:
				for range h.below(4) + 1 {
					if len(value) > 0 {
						value[(h.below(256)<<8+h.below(256))%len(value)] = h.next()
					}
				}
			}
			h.note("shared data %q = %q", key, value)
			h.shared[key] = sharedValue{value, h.shared[key].cas + 1}
		}
	}
}

func (h *hostile) count() uint64 { return uint64(binary.LittleEndian.Uint32(h.headers)) }

func (h *hostile) requestHeaders() []byte {
	headers := [][2]string{
		{":method", h.one("GET", "GET", "HEAD", "POST", "CONNECT")},
		{":authority", h.one("a", "127.0.0.1:9902", "[::1]:80")},
		{":path", h.one("/", "/x?user=1&user=%32&a=b", "/status", "/status/a", "/clusters/a/reset", "/cache/invalidate", "/clusters/a/circuit_breaker", "*")},
	}
	for range h.below(5) {
		headers = append(headers, [2]string{
			h.one("x-api-key", "cookie", "authorization", "content-type", "accept", "cache-control", "content-length", "upgrade", "range",
				"x-weir-cluster", "if-none-match", "connect-protocol-version", "x_api_key", "origin", "sec-fetch-site", "x-weir-attempt", "te"),
			h.one("K", "sid=1; sid=\"2\"; a", "Bearer t", "application/grpc", "application/grpc-web+proto", "text/event-stream", "no-cache, max-age=1",
				"18446744073709551616", "-1", "0", "websocket", "bytes=0-1", `W/"1"`, "1", "same-origin", "http://127.0.0.1:9902", "application/json"),
		})
	}
	return pairs.Pack(headers)
}

func (h *hostile) responseHeaders() []byte {
	headers := [][2]string{{":status", h.one("200", "503", "304", "429", "404", "200")}}
	for range h.below(5) {
		headers = append(headers, [2]string{
			h.one("content-type", "cache-control", "retry-after", "content-length", "vary", "etag", "age", "date", "expires", "grpc-status", "set-cookie",
				"x-weir-source", "x-weir-reason", "location", "transfer-encoding", "last-modified", "content-encoding"),
			h.one("text/plain", "max-age=60, s-maxage=9999999999999999999", "public", "no-store", "120", "Fri, 31 Dec 1999 23:59:59 GMT", "0", "-1",
				"*", "accept, x-api-key", `"1"`, "14", "cache", "chunked", "99999999999999999999"),
		})
	}
	return pairs.Pack(headers)
}

// reply is what a bridge may say: right, wrong, or something in between.
func (h *hostile) reply() string {
	number := func() string {
		return h.one("0", "1", "5", "-1", "1000", "9007199254740993", "1e3", `"1"`, "null", "[]", `"a:b"`, "99999999999999999999")
	}
	var list []string
	for range h.below(12) {
		list = append(list, number())
	}
	inner := "[" + strings.Join(list, ",") + "]"
	return h.one(`{"EVALSHA":`+inner+`}`, `{"result":`+inner+`}`, `{"result":[`+inner+`,`+inner+`]}`, `[{"result":`+inner+`},{"error":"NOSCRIPT"}]`,
		`{"EVALSHA":[false,"NOSCRIPT No matching script"]}`, `{"error":"ERR"}`, inner, "", `{"MSG":[true,"OK"]}`)
}

func (h *hostile) property(path string) ([]byte, bool) {
	number := func(s string) []byte {
		b := []byte(s)
		if len(b) == 8 || h.below(16) == 0 {
			return b
		}
		return binary.LittleEndian.AppendUint64(nil, uint64(h.next())*uint64(h.next()))
	}
	if h.below(16) == 0 {
		return nil, false
	}
	switch strings.ReplaceAll(path, "\x00", ".") {
	case "xds.cluster_name":
		return []byte(h.one("a", "a", "b", "bcd", "unknown")), true
	case "response.code":
		return number(""), true
	case "response.code_details":
		return []byte(h.one("via_upstream", "via_upstream", "response_timeout", "upstream_reset_before_response_started{connection_termination}",
			"no_healthy_upstream", "downstream_remote_disconnect", "request_payload_exceeded_retry_buffer_limit", "weir_circuit_open")), true
	case "upstream.request_attempt_count", "xds.listener_direction":
		return number(""), true
	case "source.address":
		return []byte(h.one("10.0.0.1:1234", "[2001:db8::1%eth0]:80", "[::ffff:1.2.3.4]:1", "/tmp/socket", "envoy://x/1")), true
	case "plugin_root_id":
		return []byte("weir"), true
	}
	return []byte(h.one("", "x", "\x0a\x03abc")), true
}

// The statuses of the ABI.
const (
	ok          = 0
	notFound    = 1
	badArgument = 2
	empty       = 7
	mismatch    = 8
	internal    = 10
)

// serve is a host call.
func (h *hostile) serve(name string, p []uint64) uint64 {
	memory := h.module.Memory()
	read := func(at, size uint64) string {
		b, in := memory.Read(uint32(at), uint32(size))
		if !in {
			h.failure = fmt.Errorf("%s: memory %d+%d is outside", name, at, size)
		}
		return string(b)
	}
	give := func(b []byte, at, size uint64) uint64 {
		allocate := h.module.ExportedFunction("malloc")
		if allocate == nil { // a module of `go build`, without postlink
			allocate = h.module.ExportedFunction("proxy_on_memory_allocate")
		}
		to := uint64(0)
		if len(b) > 0 {
			results, err := allocate.Call(context.Background(), uint64(len(b)))
			if err != nil {
				h.failure = fmt.Errorf("%s: allocate %d bytes: %w", name, len(b), err)
				return internal
			}
			to = results[0]
			memory.Write(uint32(to), b)
		}
		memory.WriteUint32Le(uint32(at), uint32(to))
		memory.WriteUint32Le(uint32(size), uint32(len(b)))
		return ok
	}
	switch name {
	case "clock_time_get":
		h.clock += 1000
		memory.WriteUint64Le(uint32(p[2]), h.clock)
	case "proxy_log":
		line := read(p[1], p[2])
		h.note("log %d: %q", p[0], line)
		if strings.Contains(line, "runtime error") || strings.Contains(line, "index out of") {
			h.failure = fmt.Errorf("a panic was recovered: %s", line)
		}
	case "proxy_get_log_level":
		memory.WriteUint32Le(uint32(p[0]), uint32(h.below(2)*2))
	case "proxy_get_property":
		value, found := h.property(read(p[0], p[1]))
		if !found {
			return notFound
		}
		return give(value, p[2], p[3])
	case "proxy_get_header_map_pairs":
		if h.headers == nil {
			return notFound
		}
		return give(h.headers, p[1], p[2])
	case "proxy_get_header_map_value":
		want, found := read(p[1], p[2]), false
		var value string
		pairs.Packed(h.headers).All(func(n, v string) bool {
			if n == want {
				value, found = v, true
			}
			return !found
		})
		if !found {
			return notFound
		}
		return give([]byte(value), p[3], p[4])
	case "proxy_get_buffer_bytes":
		b := h.body
		if p[0] == 7 { // the plugin's configuration
			b = []byte(h.configuration)
		}
		start, length := min(p[1], uint64(len(b))), p[2]
		if start == uint64(len(b)) {
			return notFound
		}
		return give(b[start:min(start+length, uint64(len(b)))], p[3], p[4])
	case "proxy_get_shared_data":
		value, found := h.shared[read(p[0], p[1])]
		if !found {
			return notFound
		}
		memory.WriteUint32Le(uint32(p[4]), value.cas)
		return give(value.bytes, p[2], p[3])
	case "proxy_set_shared_data":
		key, value := read(p[0], p[1]), []byte(read(p[2], p[3]))
		old, found := h.shared[key]
		if cas := uint32(p[4]); found && cas != 0 && cas != old.cas || h.below(32) == 1 {
			return mismatch
		}
		if !found {
			h.keys = append(h.keys, key)
		}
		h.shared[key] = sharedValue{value, old.cas + 1}
	case "proxy_http_call":
		if h.below(16) == 1 {
			return badArgument
		}
		h.last++
		h.calls = append(h.calls, uint64(h.last))
		memory.WriteUint32Le(uint32(p[len(p)-1]), h.last)
	case "proxy_set_tick_period_milliseconds":
		h.ticks = p[0] != 0
	case "proxy_register_shared_queue":
		h.queue = true
		memory.WriteUint32Le(uint32(p[len(p)-1]), 1)
	case "proxy_define_metric":
		memory.WriteUint32Le(uint32(p[len(p)-1]), 1)
	case "proxy_get_metric":
		memory.WriteUint64Le(uint32(p[1]), uint64(h.next()))
	case "proxy_dequeue_shared_queue":
		return empty
	default:
		if h.below(64) == 1 {
			return internal
		}
	}
	return ok
}

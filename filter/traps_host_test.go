//go:build !wasm

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/weir-mesh/weir/filter/internal/host/pairs"
)

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

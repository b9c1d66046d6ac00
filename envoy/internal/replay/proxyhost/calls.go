package proxyhost

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// The statuses of calls (proxy_status_t).
const (
	ok          = 0
	notFound    = 1
	badArgument = 2
	empty       = 7
	mismatch    = 8
	internal    = 10
)

// Numbers of buffers and maps (proxy_buffer_type_t, proxy_map_type_t).
const (
	pluginConfiguration = 7
	requestHeaders      = 0
	responseHeaders     = 2
)

const logLevelInfo = 2

// calls are the calls of proxy-wasm, by name.
var calls = map[string]hostCall{
	"proxy_log":                          (*Host).log,
	"proxy_get_log_level":                (*Host).getLogLevel,
	"proxy_get_property":                 (*Host).getProperty,
	"proxy_get_header_map_pairs":         (*Host).getHeaderMapPairs,
	"proxy_get_header_map_value":         (*Host).getHeaderMapValue,
	"proxy_add_header_map_value":         (*Host).pass, // what the module changes for upstream or the client concerns nobody here
	"proxy_replace_header_map_value":     (*Host).pass,
	"proxy_remove_header_map_value":      (*Host).pass,
	"proxy_set_header_map_pairs":         (*Host).pass,
	"proxy_set_property":                 (*Host).pass, // for the access log
	"proxy_get_buffer_bytes":             (*Host).getBufferBytes,
	"proxy_get_shared_data":              (*Host).getSharedData,
	"proxy_set_shared_data":              (*Host).setSharedData,
	"proxy_send_local_response":          (*Host).sendLocalResponse,
	"proxy_define_metric":                (*Host).defineMetric,
	"proxy_increment_metric":             (*Host).incrementMetric,
	"proxy_record_metric":                (*Host).recordMetric,
	"proxy_get_metric":                   (*Host).getMetric,
	"proxy_set_tick_period_milliseconds": (*Host).setTickPeriod,
	"proxy_set_effective_context":        (*Host).setEffectiveContext,
	"proxy_continue_stream":              (*Host).pass,
	// There is no other server, and nobody who would wait for one.
	"proxy_http_call":             (*Host).noServer,
	"proxy_register_shared_queue": (*Host).registerQueue,
	"proxy_enqueue_shared_queue":  (*Host).pass,
	"proxy_dequeue_shared_queue":  (*Host).dequeue,
}

func (h *Host) pass(context.Context, []uint64) uint64 { return ok }

func (h *Host) noServer(context.Context, []uint64) uint64 { return badArgument }

func (h *Host) dequeue(context.Context, []uint64) uint64 { return empty }

// read is memory of the module, valid until the module runs again.
func (h *Host) read(at, size uint64) []byte {
	b, inside := h.memory.Read(uint32(at), uint32(size))
	if !inside {
		h.failed = fmt.Errorf("the module passed bytes %d+%d, which are outside of its memory", uint32(at), uint32(size))
	}
	return b
}

func (h *Host) write32(at uint64, value uint32) { h.memory.WriteUint32Le(uint32(at), value) }

// give returns bytes to the module, in memory that it allocates.
func (h *Host) give(ctx context.Context, b []byte, at, size uint64) uint64 {
	to := uint64(0)
	if len(b) > 0 {
		stack := [1]uint64{uint64(len(b))}
		if err := h.calls.allocate.CallWithStack(ctx, stack[:]); err != nil {
			h.failed = err
			return internal
		}
		to = stack[0]
		h.memory.Write(uint32(to), b)
	}
	h.write32(at, uint32(to))
	h.write32(size, uint32(len(b)))
	return ok
}

func (h *Host) giveText(ctx context.Context, s string, at, size uint64) uint64 {
	if s == "" {
		return notFound
	}
	var b [256]byte
	return h.give(ctx, append(b[:0], s...), at, size)
}

func (h *Host) giveNumber(ctx context.Context, n uint64, at, size uint64) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	return h.give(ctx, b[:], at, size)
}

func (h *Host) log(_ context.Context, p []uint64) uint64 {
	h.events.Logged(uint32(p[0]), h.read(p[1], p[2]))
	return ok
}

func (h *Host) getLogLevel(_ context.Context, p []uint64) uint64 {
	h.write32(p[0], logLevelInfo)
	return ok
}

// getProperty has the attributes of the stream that the module reads; all others are missing, as for a plain HTTP request that
// no other filter has noted anything about.
func (h *Host) getProperty(ctx context.Context, p []uint64) uint64 {
	path := h.read(p[0], p[1])
	s := h.stream
	if s == nil {
		return notFound
	}
	switch string(path) {
	case "xds\x00cluster_name":
		return h.giveText(ctx, s.Cluster, p[2], p[3])
	case "xds\x00route_name":
		return h.giveText(ctx, s.Route, p[2], p[3])
	case "source\x00address":
		return h.giveText(ctx, s.Source, p[2], p[3])
	case "response\x00code_details":
		return h.giveText(ctx, s.Details, p[2], p[3])
	case "request\x00time":
		return h.giveNumber(ctx, uint64(s.began), p[2], p[3])
	case "connection\x00mtls":
		return h.give(ctx, []byte{0}, p[2], p[3])
	default:
		return notFound
	}
}

func (h *Host) headers(of uint64) []byte {
	switch {
	case h.stream == nil:
	case of == requestHeaders:
		return h.stream.Request
	case of == responseHeaders:
		return h.stream.Response
	}
	return nil
}

func (h *Host) getHeaderMapPairs(ctx context.Context, p []uint64) uint64 {
	packed := h.headers(p[0])
	if packed == nil {
		return notFound
	}
	return h.give(ctx, packed, p[1], p[2])
}

func (h *Host) getHeaderMapValue(ctx context.Context, p []uint64) uint64 {
	packed, want := h.headers(p[0]), h.read(p[1], p[2])
	if n := count(packed); n > 0 {
		lengths, at := packed[4:], 4+8*n
		for ; n > 0; n-- {
			name, value := uint64(binary.LittleEndian.Uint32(lengths)), uint64(binary.LittleEndian.Uint32(lengths[4:]))
			if string(packed[at:at+name]) == string(want) {
				return h.give(ctx, packed[at+name+1:at+name+1+value], p[3], p[4])
			}
			lengths, at = lengths[8:], at+name+value+2
		}
	}
	return notFound
}

func (h *Host) getBufferBytes(ctx context.Context, p []uint64) uint64 {
	size := uint64(len(h.configuration))
	start, length := p[1]&0xffffffff, p[2]&0xffffffff
	if p[0] != pluginConfiguration || start >= size {
		return notFound
	}
	return h.give(ctx, h.configuration[start:min(start+length, size)], p[3], p[4])
}

// sharedValue is a value of shared data. Each change makes another cas, never 0.
type sharedValue struct {
	bytes []byte
	cas   uint32
}

func (h *Host) getSharedData(ctx context.Context, p []uint64) uint64 {
	value := h.shared[string(h.read(p[0], p[1]))]
	if value == nil {
		return notFound
	}
	h.write32(p[4], value.cas)
	return h.give(ctx, value.bytes, p[2], p[3])
}

func (h *Host) setSharedData(_ context.Context, p []uint64) uint64 {
	key, bytes, cas := h.read(p[0], p[1]), h.read(p[2], p[3]), uint32(p[4])
	value := h.shared[string(key)]
	if value == nil {
		value = &sharedValue{}
		h.shared[string(key)] = value
	} else if cas != 0 && cas != value.cas {
		return mismatch
	}
	value.bytes = append(value.bytes[:0], bytes...)
	value.cas = max(value.cas+1, 1)
	return ok
}

func (h *Host) sendLocalResponse(_ context.Context, p []uint64) uint64 {
	if h.stream == nil {
		return badArgument
	}
	h.stream.Replied = repliedAs(h.read(p[1], p[2]))
	return ok
}

// repliedAs is the details of a local reply, without an allocation for Weir's refusals.
func repliedAs(details []byte) string {
	switch string(details) {
	case "weir_rate_limited":
		return "weir_rate_limited"
	case "weir_circuit_open":
		return "weir_circuit_open"
	case "weir_bulkhead_full":
		return "weir_bulkhead_full"
	}
	return string(details)
}

func (h *Host) defineMetric(_ context.Context, p []uint64) uint64 {
	h.write32(p[3], h.metrics.define(uint32(p[0]), string(h.read(p[1], p[2]))))
	return ok
}

func (h *Host) incrementMetric(_ context.Context, p []uint64) uint64 {
	m := h.metrics.get(uint32(p[0]))
	switch {
	case m == nil:
		return notFound
	case m.kind == histogram:
		return badArgument
	}
	m.value += p[1]
	if m.kind == counter {
		h.events.Counted(m.name, p[1])
	}
	return ok
}

func (h *Host) recordMetric(_ context.Context, p []uint64) uint64 {
	m := h.metrics.get(uint32(p[0]))
	switch {
	case m == nil:
		return notFound
	case m.kind == counter:
		return badArgument
	case m.kind == gauge:
		m.value = p[1]
	}
	return ok
}

func (h *Host) getMetric(_ context.Context, p []uint64) uint64 {
	m := h.metrics.get(uint32(p[0]))
	if m == nil {
		return notFound
	}
	h.memory.WriteUint64Le(uint32(p[1]), m.value)
	return ok
}

func (h *Host) setTickPeriod(_ context.Context, p []uint64) uint64 {
	h.period = int64(uint32(p[0])) * 1e6
	h.tickAt = h.clock + h.period
	return ok
}

// setEffectiveContext makes the next calls those of a stream, or of the plugin.
func (h *Host) setEffectiveContext(_ context.Context, p []uint64) uint64 {
	id := uint32(p[0])
	s := h.streams[id]
	if s == nil && id != pluginContext {
		return badArgument
	}
	h.stream = s
	return ok
}

func (h *Host) registerQueue(_ context.Context, p []uint64) uint64 {
	h.write32(p[2], 1)
	return ok
}

// clockTimeGet has one time for both clocks: CLOCK_REALTIME and CLOCK_MONOTONIC.
func (h *Host) clockTimeGet(_ context.Context, p []uint64) uint64 {
	h.memory.WriteUint64Le(uint32(p[2]), uint64(h.clock))
	return ok
}

// randomGet has the same numbers each time, so that the same log has the same result (Steele et al., SplitMix64).
func (h *Host) randomGet(_ context.Context, p []uint64) uint64 {
	b := h.read(p[0], p[1])
	for i := range b {
		h.random += 0x9e3779b97f4a7c15
		x := (h.random ^ h.random>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		b[i] = byte(bits.RotateLeft64(x, 8))
	}
	return ok
}

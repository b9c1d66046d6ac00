//go:build !wasm

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/weir-mesh/weir/filter/internal/host/pairs"
)

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

//go:build !wasm

package main

import (
	"encoding/binary"
	"strings"

	"github.com/weir-mesh/weir/filter/internal/host/pairs"
)

func (h *hostile) requestHeaders() []byte {
	headers := [][2]string{
		{":method", h.one("GET", "GET", "HEAD", "POST", "CONNECT")},
		{":authority", h.one("a", "127.0.0.1:9902", "[::1]:80")},
		{":path", h.one("/", "/x?user=1&user=%32&a=b", "/status", "/status/a", "/clusters/a/reset", "/cache/invalidate", "/clusters/a/circuit_breaker", "*")},
	}
	for range h.below(5) {
		headers = append(headers, [2]string{
			h.one("x-api-key", "cookie", "authorization", "content-type", "accept", "cache-control", "content-length", "upgrade", "range",
				"x-weir-cluster", "if-none-match", "connect-protocol-version", "x_api_key", "origin", "sec-fetch-site", "x-weir-attempt", "te",
				"grpc-timeout", "x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms", "x-envoy-upstream-stream-duration-ms"),
			h.one("K", "sid=1; sid=\"2\"; a", "Bearer t", "application/grpc", "application/grpc-web+proto", "text/event-stream", "no-cache, max-age=1",
				"18446744073709551616", "-1", "0", "websocket", "bytes=0-1", `W/"1"`, "1", "same-origin", "http://127.0.0.1:9902", "application/json",
				"1m", "99999999H"),
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
	case "response.code_details":
		return []byte(h.one("via_upstream", "via_upstream", "response_timeout", "upstream_reset_before_response_started{connection_termination}",
			"no_healthy_upstream", "downstream_remote_disconnect", "request_payload_exceeded_retry_buffer_limit", "weir_circuit_open")), true
	case "upstream.request_attempt_count", "xds.listener_direction", "request.time":
		return number(""), true
	case "source.address":
		return []byte(h.one("10.0.0.1:1234", "[2001:db8::1%eth0]:80", "[::ffff:1.2.3.4]:1", "/tmp/socket", "envoy://x/1")), true
	case "plugin_root_id":
		return []byte("weir"), true
	}
	return []byte(h.one("", "x", "\x0a\x03abc")), true
}

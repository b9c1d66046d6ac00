package e2e

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// endings are the rows of TestEndings, in the order of docs/endings.md. A comment says what an earlier module counted
// where it was another outcome.
func endings(*testing.T) []ending {
	const strict = "timeout: 300ms" // less than what slow clients take
	sse := "text/event-stream"
	return []ending{
		// While the request is being sent.
		{name: "upload-slow", rules: strict, up: ok, client: uploads(600 * time.Millisecond), counts: isSuccess},
		{name: "upload-slow-then-upstream", rules: strict, route: noTimeout, up: sleepy, client: uploads(400 * time.Millisecond), counts: isFailure},
		{name: "upload-slow-h2", rules: strict, up: ok, client: uploadsH2(false), counts: isSuccess},
		{name: "upload-slow-trailers", rules: strict, up: ok, client: uploadsH2(true), counts: isSuccess},
		{name: "upload-idle", route: idleTimeout, up: ok, client: beginsUpload, counts: isNeither},
		{name: "upload-duration", route: maxDuration, up: ok, client: beginsUpload, counts: isNeither},
		{name: "upload-request-timeout", route: noTimeout, up: ok, client: beginsUpload, counts: isNeither},
		{name: "upload-left", up: ok, client: func(w *weir, cluster string) {
			c := w.dial(0)
			c.send("POST / HTTP/1.1\r\nhost: " + cluster + "\r\ncontent-length: 4\r\n\r\nab")
			w.console().waitStatus(cluster, map[string]any{"bulkhead.in_flight": 1})
			_ = c.Close()
		}, counts: isNeither},
		{name: "upload-rst", up: ok, client: resets("POST", false, false, 0), counts: isNeither},
		{name: "upload-garbage", up: ok, client: func(w *weir, cluster string) {
			c := w.dial(0)
			c.send("POST / HTTP/1.1\r\nhost: " + cluster + "\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n")
			w.console().waitStatus(cluster, map[string]any{"bulkhead.in_flight": 1})
			c.send("no chunk\r\n")
			w.console().waitStatus(cluster, map[string]any{"bulkhead.in_flight": 0})
		}, counts: isNeither},
		{name: "upload-reset", raw: func(c *net.TCPConn, _ *http.Request) { cutOff(c) }, client: beginsUpload, counts: isNeither},
		{name: "upload-reset-late", raw: func(c *net.TCPConn, _ *http.Request) {
			time.Sleep(1300 * time.Millisecond) // a server's own limit on slow requests
			cutOff(c)
		}, client: beginsUpload, counts: isNeither},
		{name: "upload-refused", refuse: true, client: beginsUpload, counts: isFailure},
		{name: "upload-answered", rules: strict, raw: func(c *net.TCPConn, _ *http.Request) {
			time.Sleep(500 * time.Millisecond)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
			untilClosed(c)
		}, client: beginsUpload, counts: isSuccess},
		{name: "upload-503", raw: responds("503 Service Unavailable"), client: beginsUpload, counts: isFailure},
		{name: "upload-408", raw: responds("408 Request Timeout"), client: beginsUpload, counts: isNeither},

		// Upstream has the whole request.
		{name: "whole-ok", up: ok, client: get, counts: isSuccess},
		{name: "whole-slow", rules: "timeout: 300ms", route: noTimeout, up: hang, client: get, counts: isFailure},
		{name: "whole-route-timeout", route: routeTimeout, up: hang, client: get, counts: isFailure},
		{name: "whole-idle", route: idleTimeout, up: hang, client: get, counts: isFailure},
		{name: "whole-idle-post", route: idleTimeout, up: hang, client: uploads(200 * time.Millisecond), counts: isFailure},
		{name: "whole-duration", route: maxDuration, up: hang, client: get, counts: isFailure},
		{name: "whole-duration-mostly-upload", route: maxDuration, up: hang, client: uploads(300 * time.Millisecond), counts: isNeither},
		{name: "whole-cluster-duration", route: noTimeout, up: hang, client: get, counts: isFailure},
		{name: "whole-per-try", route: noTimeout, policy: `, retry: {max_attempts: 2, base_delay: 10ms, per_try_timeout: 200ms}`, up: hang, client: get, counts: isFailure},
		{name: "whole-per-try-idle", route: perTryIdle, up: hang, client: get, counts: isFailure},
		// What fails after a deadline of the client: once upstream has had the request for min_client_deadline, 1s by default.
		{name: "grpc-timeout-header", rules: "min_client_deadline: 200ms", route: grpcTimeout, up: hang, client: calls("grpc-timeout", "300m"), counts: isFailure},
		{name: "grpc-timeout-short", route: grpcTimeout, up: hang, client: calls("grpc-timeout", "300m"), counts: isNeither},
		{name: "grpc-timeout-of-route", route: routeTimeout, up: hang, client: calls("grpc-timeout", "5S"), counts: isFailure},
		{name: "grpc-timeout-used-up", route: grpcTimeout, up: hang, client: calls("grpc-timeout", "600m", "x-envoy-fault-delay-request", "450"), counts: isNeither},
		{name: "grpc-exceeded", up: grpcStream(200*time.Millisecond, 0, grpcEnd("4")), client: calls("grpc-timeout", "100m"), counts: isNeither},
		{name: "grpc-exceeded-late", rules: "min_client_deadline: 50ms", up: grpcStream(200*time.Millisecond, 0, grpcEnd("4")), client: calls("grpc-timeout", "100m"), counts: isFailure},
		{name: "grpc-exceeded-headers", up: func(rw http.ResponseWriter, _ *http.Request) {
			time.Sleep(100 * time.Millisecond)
			rw.Header().Set("grpc-status", "4")
			rw.Header().Set("content-type", "application/grpc")
		}, client: calls("grpc-timeout", "1m"), counts: isNeither},
		{name: "grpc-unavailable-in-time", up: grpcStream(0, 0, grpcEnd("14")), client: calls("grpc-timeout", "5S"), counts: isFailure},
		{name: "grpc-timeout-unreadable", up: grpcStream(0, 0, grpcEnd("13")), client: calls("grpc-timeout", "soon"), counts: isNeither},
		{name: "grpc-deadline-rst", raw2: func(f *frames, s uint32) {
			time.Sleep(100 * time.Millisecond)
			_ = f.WriteRSTStream(s, http2.ErrCodeCancel)
		}, client: calls("grpc-timeout", "20m"), counts: isNeither},
		{name: "grpc-client-deadline", route: noTimeout, up: hang, client: resets("POST", true, false, 200*time.Millisecond, "content-type", "application/grpc"), counts: isNeither},
		{name: "whole-left", route: noTimeout, up: hang, client: func(w *weir, cluster string) { w.leave(cluster, "/", 200*time.Millisecond) }, counts: isNeither},
		{name: "whole-rst", route: noTimeout, up: hang, client: resets("GET", true, false, 0), counts: isNeither},
		{name: "whole-reset", raw: func(c *net.TCPConn, _ *http.Request) { cutOff(c) }, client: get, counts: isFailure},
		{name: "whole-closed", raw: func(*net.TCPConn, *http.Request) {}, client: get, counts: isFailure},
		{name: "whole-nonsense", raw: func(c *net.TCPConn, _ *http.Request) { _, _ = io.WriteString(c, "what?\r\n\r\n") }, client: get, counts: isFailure},
		{name: "grpc-rst", raw2: func(f *frames, s uint32) { _ = f.WriteRSTStream(s, http2.ErrCodeInternal) }, client: calls(), counts: isFailure},
		{name: "grpc-refused-stream", raw2: func(f *frames, s uint32) { _ = f.WriteRSTStream(s, http2.ErrCodeRefusedStream) }, client: calls(), counts: isFailure},
		{name: "grpc-goaway", raw2: func(f *frames, _ uint32) {
			_ = f.WriteGoAway(0, http2.ErrCodeInternal, nil)
			_ = f.conn.Close()
		}, client: calls(), counts: isFailure},
		{name: "refused", refuse: true, client: get, counts: isFailure},
		{name: "no-host", up: ok, client: get, counts: isFailure},

		{name: "whole-unread-connection", route: routeTimeout, up: func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/large" {
				large(rw, r)
			} else {
				time.Sleep(100 * time.Millisecond)
			}
		}, sent: 2, client: unreadConnection, counts: isSuccess},
		{name: "overflow", route: noTimeout, up: hang, sent: 2, client: func(w *weir, cluster string) {
			first := w.dial(0)
			first.send("GET / HTTP/1.1\r\nhost: " + cluster + "\r\n\r\n")
			w.console().waitStatus(cluster, map[string]any{"bulkhead.in_flight": 1})
			w.get(cluster, "/")
			_ = first.Close()
		}, counts: isNeither},
		{name: "local-reply", up: ok, client: func(w *weir, cluster string) { w.get(cluster, "/local") }, counts: isNeither},

		// The response's headers have come.
		{name: "body-stalls", route: routeTimeout, up: stall(), client: get, counts: isFailure},
		{name: "body-stalls-after-a-piece", route: routeTimeout, up: stall("beginning"), client: get, counts: isFailure},
		{name: "body-stalls-idle", route: idleTimeout, up: stall("beginning"), client: get, counts: isFailure},
		{name: "body-stalls-duration", route: maxDuration, up: stall(), client: get, counts: isFailure},
		{name: "body-flows", route: routeTimeout, up: drip("text/plain"), client: get, counts: isNeither},
		{name: "body-flows-duration", route: maxDuration, up: drip("text/plain"), client: get, counts: isNeither},
		{name: "body-unread", route: routeTimeout, up: large, client: unread, counts: isNeither},
		{name: "body-unread-idle", route: idleTimeout, up: large, client: unread, counts: isNeither},
		{name: "body-unread-h2", route: routeTimeout, up: large, client: unread2, counts: isNeither},
		{name: "body-unread-short-h2", route: routeTimeout, up: func(rw http.ResponseWriter, _ *http.Request) { write(rw, "short") }, client: unread2, counts: isSuccess},
		{name: "body-unread-reset", raw: func(c *net.TCPConn, _ *http.Request) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-length: 33554432\r\n\r\n")
			_ = c.SetWriteDeadline(time.Now().Add(1500 * time.Millisecond)) // as servers have it
			piece := make([]byte, 64<<10)
			for {
				if _, err := c.Write(piece); err != nil {
					cutOff(c)
					return
				}
			}
		}, client: unread, counts: isSuccess},
		{name: "body-reset", raw: func(c *net.TCPConn, _ *http.Request) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbeginning")
			time.Sleep(50 * time.Millisecond)
			cutOff(c)
		}, client: get, counts: isFailure},
		{name: "body-reset-while-it-flows", raw: func(c *net.TCPConn, _ *http.Request) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-length: 33554432\r\n\r\n")
			_, _ = c.Write(make([]byte, 16<<20))
			cutOff(c)
		}, client: get, counts: isFailure},
		{name: "body-short", raw: func(c *net.TCPConn, _ *http.Request) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbeginning")
		}, client: get, counts: isFailure},
		{name: "body-bad-chunk", raw: func(c *net.TCPConn, _ *http.Request) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n")
			time.Sleep(50 * time.Millisecond)
			_, _ = io.WriteString(c, "no chunk\r\n")
		}, client: get, counts: isFailure},
		{name: "body-left", up: drip("text/plain"), client: leavesPlain(300 * time.Millisecond), counts: isNeither},
		{name: "body-left-after-a-second", up: drip("text/plain"), client: leavesPlain(1300 * time.Millisecond), counts: isSuccess},
		{name: "body-left-stalled", route: noTimeout, up: stall("beginning"), client: leavesPlain(1300 * time.Millisecond), counts: isNeither},
		{name: "body-rst", up: drip("text/plain"), client: resets("GET", true, true, 200*time.Millisecond), counts: isNeither},

		// Streams.
		{name: "events-left", up: drip(sse), client: leaves(100 * time.Millisecond), counts: isSuccess},
		{name: "events-cut-by-a-timer", route: routeTimeout, up: drip(sse), client: getEvents, counts: isSuccess},
		{name: "events-cut-while-silent", route: idleTimeout, up: func(rw http.ResponseWriter, r *http.Request) { begin(rw, sse); hang(rw, r) }, client: getEvents, counts: isSuccess},
		{name: "events-not-cut", rules: strict, up: func(rw http.ResponseWriter, _ *http.Request) {
			begin(rw, sse)
			time.Sleep(600 * time.Millisecond)
			write(rw, "data: late\n\n")
		}, client: getEvents, counts: isSuccess},
		{name: "events-reset", raw: func(c *net.TCPConn, _ *http.Request) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 1000\r\n\r\ndata: x\n\n")
			time.Sleep(200 * time.Millisecond)
			cutOff(c)
		}, client: getEvents, counts: isBoth},
		{name: "events-late-headers", rules: "slow_calls: {slower_than: 100ms, threshold: 0.3, min_calls: 3}", up: func(rw http.ResponseWriter, _ *http.Request) {
			time.Sleep(300 * time.Millisecond)
			begin(rw, sse)
		}, client: get, counts: isSuccess},
		{name: "grpc-late-message", rules: "slow_calls: {slower_than: 100ms, threshold: 0.3, min_calls: 3}", up: grpcStream(300*time.Millisecond, 3, grpcEnd("0")), client: calls(), counts: isSuccess},
		{name: "grpc-ok", up: grpcStream(0, 1, grpcEnd("0")), client: calls(), counts: isSuccess},
		{name: "grpc-stream-left", up: grpcStream(0, 3, hang), client: resets("POST", true, true, 300*time.Millisecond, "content-type", "application/grpc"), counts: isSuccess},
		{name: "grpc-stream-unavailable", up: grpcStream(0, 3, grpcEnd("14")), client: calls(), counts: isBoth},
		{name: "grpc-stream-cut-by-a-timer", route: routeTimeout, up: grpcStream(0, 3, hang), client: calls(), counts: isSuccess},
		{name: "grpc-no-message", route: routeTimeout, up: grpcStream(0, 0, hang), client: calls(), counts: isFailure},
		{name: "ws-left", route: websockets, raw: func(c *net.TCPConn, _ *http.Request) {
			_, _ = io.WriteString(c, switching)
			untilClosed(c)
		}, client: func(w *weir, cluster string) { c := upgrades(w, cluster); c.answer(); _ = c.Close() }, counts: isSuccess},
		{name: "ws-idle", route: websockets, raw: func(c *net.TCPConn, _ *http.Request) {
			_, _ = io.WriteString(c, switching)
			untilClosed(c)
		}, client: func(w *weir, cluster string) { c := upgrades(w, cluster); c.answer(); untilClosed(c) }, counts: isSuccess},
		{name: "ws-reset", route: websockets, raw: func(c *net.TCPConn, _ *http.Request) {
			_, _ = io.WriteString(c, switching)
			time.Sleep(100 * time.Millisecond)
			cutOff(c)
		}, client: func(w *weir, cluster string) { c := upgrades(w, cluster); c.answer(); untilClosed(c) }, counts: isSuccess},
		{name: "ws-closed", route: websockets, raw: func(c *net.TCPConn, _ *http.Request) {
			_, _ = io.WriteString(c, switching)
			time.Sleep(100 * time.Millisecond)
		}, client: func(w *weir, cluster string) { c := upgrades(w, cluster); c.answer(); untilClosed(c) }, counts: isSuccess},
		{
			name: "ws-unanswered", route: websockets, raw: func(c *net.TCPConn, _ *http.Request) { untilClosed(c) },
			client: func(w *weir, cluster string) { upgrades(w, cluster).answer() }, counts: isNeither,
		},

		// Attempts of the filter, after a first one that was answered with 503.
		{name: "attempt-ok", policy: byFilter + "}", up: secondly(ok), client: puts, counts: isSuccess},
		{name: "attempt-500", policy: byFilter + "}", up: secondly(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(500) }), client: puts, counts: attemptFailed},
		{name: "attempt-404", policy: byFilter + "}", up: secondly(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(404) }), client: puts, counts: isSuccess},
		{name: "attempt-reset", policy: byFilter + "}", up: secondly(breaksOff()), client: puts, counts: attemptFailed},
		{name: "attempt-body-reset", policy: byFilter + "}", up: secondly(breaksOff("a piece")), client: puts, counts: attemptFailed},
		{name: "attempt-timeout", policy: byFilter + ", per_try_timeout: 300ms}", up: secondly(hang), client: puts, counts: attemptFailed},
		{name: "attempt-body-stalls", policy: byFilter + ", per_try_timeout: 300ms}", up: secondly(stall("a piece")), client: puts, counts: attemptFailed},
		{name: "attempt-body-flows", policy: byFilter + ", per_try_timeout: 300ms}", up: secondly(drip("text/plain")), client: puts, counts: attemptFailed},
		{name: "attempt-idle", policy: byFilter + ", per_try_timeout: 5s}", route: idleTimeout, up: secondly(hang), client: puts, counts: attemptFailed},
		{name: "attempt-left", policy: byFilter + ", per_try_timeout: 5s}", up: secondly(hang), client: putsAndLeaves, counts: attemptNeither},
		{name: "attempt-too-long", policy: byFilter + "}", up: secondly(large), client: puts, counts: attemptNeither},
		{name: "attempt-events", policy: byFilter + "}", up: secondly(drip("text/event-stream")), client: puts, counts: attemptNeither},
	}
}

// sleepy answers 600 ms after it has the whole request.
func sleepy(http.ResponseWriter, *http.Request) { time.Sleep(600 * time.Millisecond) }

// responds answers at once with a status and no body, and lets the client go on sending.
func responds(status string) func(*net.TCPConn, *http.Request) {
	return func(c *net.TCPConn, _ *http.Request) {
		_, _ = io.WriteString(c, "HTTP/1.1 "+status+"\r\ncontent-length: 0\r\n\r\n")
		untilClosed(c)
	}
}

// uploadsH2 sends the end of a request over HTTP/2 600 ms after its headers: with its last bytes, or as trailers.
func uploadsH2(trailers bool) func(*weir, string) {
	return func(w *weir, cluster string) {
		f := w.dial2()
		f.request("POST", cluster, false)
		time.Sleep(600 * time.Millisecond)
		_ = f.WriteData(1, !trailers, []byte("abcd"))
		if trailers {
			f.headers(1, true, "x-sum", "4")
		}
		f.over()
	}
}

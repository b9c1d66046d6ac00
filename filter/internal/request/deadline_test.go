package request_test

import (
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
)

// TestDeadlines ends a request after some milliseconds, with a deadline of its client. The breaker opens at the first failure.
func TestDeadlines(t *testing.T) {
	const wait, perTry, duration, idle = "response_timeout", "upstream_per_try_timeout", "max_duration_timeout", "stream_idle_timeout"
	grpc := request.Incoming{GRPC: true}
	for _, tc := range []struct {
		name    string
		breaker string
		in      request.Incoming
		has     request.Deadlines
		script  []what
		opens   bool
	}{
		{name: "none", script: []what{{at: 20, headers: 504, details: wait}}, opens: true},
		{name: "short", has: request.Deadlines{Request: 20}, script: []what{{at: 20, headers: 504, details: wait}}},
		{name: "short, seen late", has: request.Deadlines{Request: 20}, script: []what{{at: 400, headers: 504, details: wait}}},
		{name: "by a timer that began earlier", has: request.Deadlines{Request: 60}, script: []what{{at: 20, headers: 504, details: wait}}},
		{name: "of an attempt", has: request.Deadlines{Try: 20}, script: []what{{at: 20, headers: 504, details: perTry}}},
		{name: "fair", has: request.Deadlines{Request: 1000}, script: []what{{at: 1000, headers: 504, details: wait}}, opens: true},
		{name: "fair, the timer began earlier", has: request.Deadlines{Request: 1000}, script: []what{{at: 960, headers: 504, details: wait}}, opens: true},
		{
			name: "fair by the policy", breaker: `"min_client_deadline":"20ms",`,
			has: request.Deadlines{Request: 20}, script: []what{{at: 20, headers: 504, details: wait}}, opens: true,
		},
		{name: "has not passed", has: request.Deadlines{Request: 500}, script: []what{{at: 300, headers: 504, details: wait}}, opens: true},
		{name: "an idle timer", has: request.Deadlines{Request: 20}, script: []what{{at: 300, headers: 504, details: idle}}, opens: true},
		{name: "no connection", has: request.Deadlines{Request: 20}, script: []what{{at: 300, headers: 503, details: refusedConn}}, opens: true},
		{name: "a reset", has: request.Deadlines{Request: 20}, script: []what{{at: 300, headers: 503, details: resetConn}}, opens: true},
		{name: "a status", has: request.Deadlines{Request: 20}, script: []what{{at: 300, headers: 503, details: up}}, opens: true},
		{name: "a timeout of upstream's own", has: request.Deadlines{Stream: 20}, script: []what{{at: 300, headers: 504, details: up}}},
		{
			name: "the policy's timeout instead", breaker: `"timeout":"200ms",`,
			has: request.Deadlines{Request: 20}, script: []what{{at: 200, headers: 504, details: wait}}, opens: true,
		},
		{name: "within the body", has: request.Deadlines{Stream: 20}, script: []what{{at: 10, headers: 200}, {at: 20, details: duration}}},
		{name: "before the answer", has: request.Deadlines{Stream: 20}, script: []what{{at: 20, details: duration}}},
		{name: "grpc-timeout of what is no gRPC", has: request.Deadlines{Call: 20}, script: []what{{at: 20, headers: 504, details: wait}}, opens: true},
		{name: "gRPC", in: grpc, has: request.Deadlines{Call: 20}, script: []what{{at: 20, headers: 408, details: duration}}},
		{name: "gRPC, exceeded", in: grpc, has: request.Deadlines{Call: 20}, script: []what{{at: 20, headers: 200}, {at: 30, ends: true, grpc: 4}}},
		{name: "gRPC, exceeded later", in: grpc, has: request.Deadlines{Call: 20}, script: []what{{at: 20, headers: 200}, {at: 1030, ends: true, grpc: 4}}, opens: true},
		{name: "gRPC, unavailable before", in: grpc, has: request.Deadlines{Call: 200}, script: []what{{at: 20, headers: 200}, {at: 30, ends: true, grpc: 14}}, opens: true},
		{name: "gRPC, a reset", in: grpc, has: request.Deadlines{Call: 20}, script: []what{{at: 20, headers: 503, details: resetConn}}},
		{name: "used up before Weir", in: grpc, has: request.Deadlines{Call: 500}, script: []what{{age: 500, at: 50, headers: 408, details: duration}}},
		{name: "not used up before Weir", in: grpc, has: request.Deadlines{Call: 5000}, script: []what{{age: 500, at: 50, headers: 408, details: duration}}, opens: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := requesttest.Start(t, `{"circuit_breaker":{`+tc.breaker+`"failure_threshold":1},"bulkhead":{}}`)
			tc.in.Deadlines = tc.has
			play(p, tc.in, tc.script)
			if got := len(p.Observer.Transitions()) > 0; got != tc.opens {
				t.Errorf("got the breaker opened %t, want %t; events: %q", got, tc.opens, p.Observer.Events)
			}
		})
	}
}

// TestDeadlineWantsFallback: a client whose deadline ended its request gets the fallback, as any whose request timed out.
func TestDeadlineWantsFallback(t *testing.T) {
	p := requesttest.Start(t, `{"circuit_breaker":{"failure_threshold":1},"fallback":{"default_data":{"body":"default"}}}`)
	r, _ := p.Begin(request.Incoming{Deadlines: request.Deadlines{Request: 20}})
	p.Now += 20 * int64(time.Millisecond)
	step := r.Respond(&request.Response{Status: 504, Details: "response_timeout", GRPC: -1}, p.Now)
	if got := requesttest.Reply(step); string(got.Body) != "default" {
		t.Errorf("got reply %d %q, want the default", got.Status, got.Body)
	}
	if len(p.Observer.Transitions()) > 0 {
		t.Errorf("got %q, want no transition", p.Observer.Transitions())
	}
}

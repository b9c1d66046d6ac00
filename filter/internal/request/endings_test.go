package request_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
)

const (
	up          = "via_upstream"
	refusedConn = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
	resetConn   = "upstream_reset_before_response_started{connection_termination}"
	overflow    = "upstream_reset_before_response_started{overflow}"
	halfBody    = "upstream_reset_after_response_started{protocol_error}"
)

// TestEndings sends threshold-1 failures and then the ending under test: it opened the breaker (failure), or a further
// failure does (neither), or that does not either (success).
func TestEndings(t *testing.T) {
	const rules = `{"circuit_breaker":{"failure_threshold":2,"timeout":"1s"%s}}`
	type outcome string
	const failure, success, neither outcome = "failure", "success", "neither"
	answer := func(status int, details string) func(p *requesttest.Proxy) {
		return func(p *requesttest.Proxy) { p.RoundTrip(details, status) }
	}
	grpc := func(inHeaders, inTrailers int) func(p *requesttest.Proxy) {
		return func(p *requesttest.Proxy) {
			x, _ := p.Begin(request.Incoming{GRPC: true})
			x.Respond(&request.Response{Status: 200, Details: up, GRPC: inHeaders, Ended: inHeaders >= 0}, p.Now)
			if inHeaders < 0 {
				x.End(inTrailers, p.Now)
			}
			x.Gone(up, 0, p.Now)
		}
	}
	broken := func(details string) func(p *requesttest.Proxy) {
		return func(p *requesttest.Proxy) {
			x, _ := p.Begin(request.Incoming{})
			x.Respond(&request.Response{Status: 200, Details: up, GRPC: -1}, p.Now)
			x.Gone(details, 0, p.Now)
		}
	}
	for _, tc := range []struct {
		name     string
		failures string
		end      func(p *requesttest.Proxy)
		want     outcome
	}{
		{"200", "", answer(200, up), success},
		{"404", "", answer(404, up), success},
		{"404, listed", `,"expected_failures":["4xx"]`, answer(404, up), failure},
		{"429, listed as a status", `,"expected_failures":["429"]`, answer(429, up), failure},
		{"500", "", answer(500, up), failure},
		{"599", "", answer(599, up), failure},
		{"500, not listed", `,"expected_failures":["reset"]`, answer(500, up), success},
		{"another filter's 503", "", answer(503, "ext_authz_error"), neither},
		{"a direct response", "", answer(503, "direct_response"), neither},
		{"no connection", "", answer(503, refusedConn), failure},
		{"no connection in time", "", answer(503, "upstream_reset_before_response_started{connection_timeout}"), failure},
		{"no connection, not listed", `,"expected_failures":["5xx"]`, answer(503, refusedConn), neither},
		{"no healthy host", "", answer(503, "no_healthy_upstream"), failure},
		{"Envoy's own overflow", "", answer(503, overflow), neither},
		{"reset", "", answer(503, resetConn), failure},
		{"reset, not listed", `,"expected_failures":["5xx"]`, answer(503, resetConn), neither},
		{"router's timeout", "", answer(504, "response_timeout"), failure},
		{"router's timeout, not listed", `,"expected_failures":["5xx"]`, answer(504, "response_timeout"), neither},
		{"an answer later than the timeout", "", func(p *requesttest.Proxy) {
			x, _ := p.Begin(request.Incoming{})
			x.Respond(&request.Response{Status: 200, Details: up, GRPC: -1}, p.Now+1001*ms)
			x.End(-1, p.Now+1001*ms)
		}, failure},
		{"an answer just in time", "", func(p *requesttest.Proxy) {
			x, _ := p.Begin(request.Incoming{})
			x.Respond(&request.Response{Status: 200, Details: up, GRPC: -1}, p.Now+1000*ms)
			x.End(-1, p.Now+9000*ms) // a slow reader is not upstream's fault
		}, success},
		{"gRPC ok in trailers", "", grpc(-1, 0), success},
		{"gRPC unavailable in trailers", "", grpc(-1, 14), failure},
		{"gRPC unavailable in headers", "", grpc(14, -1), failure},
		{"gRPC not found", "", grpc(-1, 5), success},
		{"gRPC not found, listed", `,"expected_failures":["grpc:not_found"]`, grpc(-1, 5), failure},
		{"gRPC of a code nobody knows", "", grpc(-1, 99), success},
		{"half a body", "", broken(halfBody), failure},
		{"a timeout within the body", "", broken("response_timeout"), failure},
		{"the client left within the body", "", broken(requesttest.ClientLeft), neither},
		{"the client left within the body, unknown to Envoy", "", broken(up), neither},
		{"the client left before the answer", "", func(p *requesttest.Proxy) {
			x, _ := p.Begin(request.Incoming{})
			x.Gone(requesttest.ClientLeft, 0, p.Now)
		}, neither},
		{"a callback that never comes", "", func(p *requesttest.Proxy) { p.Begin(request.Incoming{}) }, neither},
		{"an upgraded connection", "", func(p *requesttest.Proxy) {
			x, _ := p.Begin(request.Incoming{Upgrade: true})
			x.Respond(&request.Response{Status: 101, Details: up, GRPC: -1}, p.Now)
			x.Gone(halfBody, 0, p.Now)
		}, success},
		{"a refused upgrade", "", func(p *requesttest.Proxy) {
			x, _ := p.Begin(request.Incoming{Upgrade: true})
			x.Respond(&request.Response{Status: 503, Details: up, GRPC: -1, Ended: true}, p.Now)
		}, failure},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := requesttest.Start(t, fmt.Sprintf(rules, tc.failures))
			fail := func() { p.RoundTrip(up, failing(tc.failures)) }
			if strings.Contains(tc.failures, "reset") || strings.Contains(tc.failures, "grpc") {
				fail = func() { p.RoundTrip(resetConn, 503) }
				if strings.Contains(tc.failures, "grpc") {
					fail = func() { grpc(-1, 5)(p) }
				}
			}
			fail()
			tc.end(p)
			got := neither
			if len(p.Observer.Transitions()) > 0 {
				got = failure
			} else if fail(); len(p.Observer.Transitions()) == 0 {
				got = success
			}
			if got != tc.want {
				t.Errorf("got %s, want %s; events: %q", got, tc.want, p.Observer.Events)
			}
		})
	}
}

// failing is a status that the written list counts.
func failing(written string) int {
	switch {
	case strings.Contains(written, "4xx"):
		return 400
	case strings.Contains(written, "429"):
		return 429
	default:
		return 500
	}
}

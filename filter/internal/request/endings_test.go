package request_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
)

const (
	up          = requesttest.Upstream
	refusedConn = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
	resetConn   = "upstream_reset_before_response_started{connection_termination}"
	noHTTP      = "upstream_reset_before_response_started{protocol_error}"
	overflow    = "upstream_reset_before_response_started{overflow}"
	halfBody    = "upstream_reset_after_response_started{protocol_error}"
)

// TestOutcomes sends one failure of the two that open the breaker, and then the ending under test. It was a failure if
// it opened the breaker, neither if a further failure opens it, and a success if that does not open it.
func TestOutcomes(t *testing.T) {
	const rules = `{"circuit_breaker":{"failure_threshold":2,"timeout":"1s"%s}}`
	type outcome string
	const failure, success, neither outcome = "failure", "success", "neither"
	respond := func(status int, details string) func(p *requesttest.Proxy) {
		return func(p *requesttest.Proxy) { p.RoundTrip(details, status) }
	}
	grpc := func(inHeaders, inTrailers int) func(p *requesttest.Proxy) {
		return func(p *requesttest.Proxy) {
			r, _ := p.Begin(request.Incoming{GRPC: true})
			r.Respond(&request.Response{Status: 200, Details: up, GRPC: inHeaders, Ended: inHeaders >= 0}, p.Now)
			if inHeaders < 0 {
				r.End(inTrailers, p.Now)
			}
			r.Gone(up, 0, p.Now)
		}
	}
	broken := func(details string) func(p *requesttest.Proxy) {
		return func(p *requesttest.Proxy) {
			r, _ := p.Begin(request.Incoming{})
			r.Respond(&request.Response{Status: 200, Details: up, GRPC: -1}, p.Now)
			r.Gone(details, 0, p.Now)
		}
	}
	for _, tc := range []struct {
		name     string
		failures string
		end      func(p *requesttest.Proxy)
		want     outcome
	}{
		{"200", "", respond(200, up), success},
		{"404", "", respond(404, up), success},
		{"404, listed", `,"expected_failures":["4xx"]`, respond(404, up), failure},
		{"429, listed as a status", `,"expected_failures":["429"]`, respond(429, up), failure},
		{"500", "", respond(500, up), failure},
		{"599", "", respond(599, up), failure},
		{"500, not listed", `,"expected_failures":["reset"]`, respond(500, up), success},
		{"503 of another filter", "", respond(503, "ext_authz_error"), neither},
		{"a direct response", "", respond(503, "direct_response"), neither},
		{"connection refused", "", respond(503, refusedConn), failure},
		{"connection timeout", "", respond(503, "upstream_reset_before_response_started{connection_timeout}"), failure},
		{"connection refused, not listed", `,"expected_failures":["5xx"]`, respond(503, refusedConn), neither},
		{"no healthy host", "", respond(503, "no_healthy_upstream"), failure},
		{"Envoy's own overflow", "", respond(503, overflow), neither},
		{"reset", "", respond(503, resetConn), failure},
		{"reset, not listed", `,"expected_failures":["5xx"]`, respond(503, resetConn), neither},
		{"router's timeout", "", respond(504, "response_timeout"), failure},
		{"router's timeout, not listed", `,"expected_failures":["5xx"]`, respond(504, "response_timeout"), neither},
		{"a response later than the timeout", "", func(p *requesttest.Proxy) {
			r, _ := p.Begin(request.Incoming{})
			r.Respond(&request.Response{Status: 200, Details: up, GRPC: -1}, p.Now+1001*ms)
			r.End(-1, p.Now+1001*ms)
		}, failure},
		{"a response just within the timeout", "", func(p *requesttest.Proxy) {
			r, _ := p.Begin(request.Incoming{})
			r.Respond(&request.Response{Status: 200, Details: up, GRPC: -1}, p.Now+1000*ms)
			r.End(-1, p.Now+9000*ms) // a slow reader is not upstream's fault
		}, success},
		{"gRPC ok in trailers", "", grpc(-1, 0), success},
		{"gRPC unavailable in trailers", "", grpc(-1, 14), failure},
		{"gRPC unavailable in headers", "", grpc(14, -1), failure},
		{"gRPC not found", "", grpc(-1, 5), success},
		{"gRPC not found, listed", `,"expected_failures":["grpc:not_found"]`, grpc(-1, 5), failure},
		{"gRPC status that is not defined", "", grpc(-1, 99), success},
		{"reset within the body", "", broken(halfBody), failure},
		{"timeout within the body", "", broken("response_timeout"), failure},
		{"the client left within the body", "", broken(requesttest.ClientLeft), neither},
		{"the client left within the body, details via_upstream", "", broken(up), neither},
		{"the client left before the response", "", func(p *requesttest.Proxy) {
			r, _ := p.Begin(request.Incoming{})
			r.Gone(requesttest.ClientLeft, 0, p.Now)
		}, neither},
		{"no callback after the request", "", func(p *requesttest.Proxy) { p.Begin(request.Incoming{}) }, neither},
		{"upgraded connection", "", func(p *requesttest.Proxy) {
			r, _ := p.Begin(request.Incoming{Upgrade: true, Body: true})
			r.Respond(&request.Response{Status: 101, Details: up, GRPC: -1}, p.Now)
			r.Gone(requesttest.ClientLeft, 0, p.Now)
		}, success},
		{"refused upgrade", "", func(p *requesttest.Proxy) {
			r, _ := p.Begin(request.Incoming{Upgrade: true})
			r.Respond(&request.Response{Status: 503, Details: up, GRPC: -1, Ended: true}, p.Now)
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

// failing is a status that counts as a failure with these expected_failures.
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

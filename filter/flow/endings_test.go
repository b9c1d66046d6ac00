package flow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/filter/flow"
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
	answer := func(status int, details string) func(p *proxy) {
		return func(p *proxy) { p.ask(details, status) }
	}
	grpc := func(inHeaders, inTrailers int) func(p *proxy) {
		return func(p *proxy) {
			x, _ := p.begin(flow.Request{GRPC: true})
			x.Answer(flow.Answer{Status: 200, Details: up, GRPC: inHeaders, Ended: inHeaders >= 0}, p.now)
			if inHeaders < 0 {
				x.End(inTrailers, p.now)
			}
			x.Done(up, 0, p.now)
		}
	}
	broken := func(details string) func(p *proxy) {
		return func(p *proxy) {
			x, _ := p.begin(flow.Request{})
			x.Answer(flow.Answer{Status: 200, Details: up, GRPC: -1}, p.now)
			x.Done(details, 0, p.now)
		}
	}
	for _, tc := range []struct {
		name     string
		failures string
		end      func(p *proxy)
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
		{"an answer later than the timeout", "", func(p *proxy) {
			x, _ := p.begin(flow.Request{})
			x.Answer(flow.Answer{Status: 200, Details: up, GRPC: -1}, p.now+1001*ms)
			x.End(-1, p.now+1001*ms)
		}, failure},
		{"an answer just in time", "", func(p *proxy) {
			x, _ := p.begin(flow.Request{})
			x.Answer(flow.Answer{Status: 200, Details: up, GRPC: -1}, p.now+1000*ms)
			x.End(-1, p.now+9000*ms) // a slow reader is not upstream's fault
		}, success},
		{"gRPC ok in trailers", "", grpc(-1, 0), success},
		{"gRPC unavailable in trailers", "", grpc(-1, 14), failure},
		{"gRPC unavailable in headers", "", grpc(14, -1), failure},
		{"gRPC not found", "", grpc(-1, 5), success},
		{"gRPC not found, listed", `,"expected_failures":["grpc:not_found"]`, grpc(-1, 5), failure},
		{"gRPC of a code nobody knows", "", grpc(-1, 99), success},
		{"half a body", "", broken(halfBody), failure},
		{"a timeout within the body", "", broken("response_timeout"), failure},
		{"the client left within the body", "", broken("downstream_remote_disconnect"), neither},
		{"the client left within the body, unknown to Envoy", "", broken(up), neither},
		{"the client left before the answer", "", func(p *proxy) {
			x, _ := p.begin(flow.Request{})
			x.Done("downstream_remote_disconnect", 0, p.now)
		}, neither},
		{"a callback that never comes", "", func(p *proxy) { p.begin(flow.Request{}) }, neither},
		{"an upgraded connection", "", func(p *proxy) {
			x, _ := p.begin(flow.Request{Upgrade: true})
			x.Answer(flow.Answer{Status: 101, Details: up, GRPC: -1}, p.now)
			x.Done(halfBody, 0, p.now)
		}, success},
		{"a refused upgrade", "", func(p *proxy) {
			x, _ := p.begin(flow.Request{Upgrade: true})
			x.Answer(flow.Answer{Status: 503, Details: up, GRPC: -1, Ended: true}, p.now)
		}, failure},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, fmt.Sprintf(rules, tc.failures))
			fail := func() { p.ask(up, failing(tc.failures)) }
			if strings.Contains(tc.failures, "reset") || strings.Contains(tc.failures, "grpc") {
				fail = func() { p.ask(resetConn, 503) }
				if strings.Contains(tc.failures, "grpc") {
					fail = func() { grpc(-1, 5)(p) }
				}
			}
			fail()
			tc.end(p)
			got := neither
			if len(p.seen.transitions()) > 0 {
				got = failure
			} else if fail(); len(p.seen.transitions()) == 0 {
				got = success
			}
			if got != tc.want {
				t.Errorf("got %s, want %s; events: %q", got, tc.want, p.seen.events)
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

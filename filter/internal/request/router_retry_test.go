package request_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/filter/internal/retries"
)

// TestRouterHeaders checks the router's headers for retries, by policy and method.
func TestRouterHeaders(t *testing.T) {
	tests := []struct{ name, rules, method, want string }{
		{
			"defaults", `{"retry":{}}`, "GET",
			"x-envoy-max-retries: 2 | x-envoy-retry-on: 5xx",
		},
		{"method not listed", `{"retry":{}}`, "POST", "x-envoy-max-retries: 0"},
		{"methods are case-sensitive", `{"retry":{}}`, "get", "x-envoy-max-retries: 0"},
		{"method listed", `{"retry":{"methods":["POST"],"max_attempts":2}}`, "POST", "x-envoy-max-retries: 1 | x-envoy-retry-on: 5xx"},
		{"max_attempts 1", `{"retry":{"max_attempts":1}}`, "GET", "x-envoy-max-retries: 0"},
		{"no budget", `{"retry":{"budget":{"percent":0,"min_per_second":0}}}`, "GET", "x-envoy-max-retries: 0"},
		{
			"budget for one retry", `{"retry":{"max_attempts":10,"budget":{"percent":0,"min_per_second":0.1}}}`, "GET",
			"x-envoy-max-retries: 1 | x-envoy-retry-on: 5xx",
		},
		{
			"timeouts", `{"retry":{"per_try_timeout":"1500ms"},"circuit_breaker":{"timeout":"4s"}}`, "GET",
			"x-envoy-upstream-rq-timeout-ms: 4000 | x-envoy-upstream-rq-per-try-timeout-ms: 1500 | x-envoy-max-retries: 2 | x-envoy-retry-on: 5xx",
		},
		{
			"statuses", `{"retry":{"retry_on":["503",429]}}`, "GET",
			"x-envoy-max-retries: 2 | x-envoy-retry-on: retriable-status-codes | x-envoy-retriable-status-codes: 429,503",
		},
		{
			"5xx and a status", `{"retry":{"retry_on":["5xx","reset","connect_failure","429"]}}`, "GET",
			"x-envoy-max-retries: 2 | x-envoy-retry-on: 5xx,retriable-status-codes | x-envoy-retriable-status-codes: 429",
		},
		{
			"connect_failure", `{"retry":{"retry_on":["connect_failure"]}}`, "GET",
			"x-envoy-max-retries: 2 | x-envoy-retry-on: connect-failure",
		},
		{"timeout", `{"retry":{"retry_on":["timeout"]}}`, "GET", "x-envoy-max-retries: 2 | x-envoy-retry-on: reset"},
		{
			"gRPC", `{"retry":{"methods":["POST"],"retry_on":["grpc:unavailable","grpc:deadline_exceeded"]}}`, "POST",
			"x-envoy-max-retries: 2 | x-envoy-retry-grpc-on: deadline-exceeded,unavailable",
		},
		{"retry_on empty", `{"retry":{"retry_on":[]}}`, "GET", "x-envoy-max-retries: 2"},
		{"shadow", `{"mode":"shadow","retry":{}}`, "GET", ""},
		{"driver filter", `{"retry":{"driver":"filter"}}`, "GET", "x-envoy-max-retries: 0"},
		{
			"driver filter: per_try_timeout is the router's timeout", `{"retry":{"driver":"filter","per_try_timeout":1},"circuit_breaker":{"timeout":"4s"}}`, "GET",
			"x-envoy-upstream-rq-timeout-ms: 1000 | x-envoy-max-retries: 0",
		},
		{
			"driver filter: per_try_timeout above the breaker's timeout", `{"retry":{"driver":"filter","per_try_timeout":9},"circuit_breaker":{"timeout":"4s"}}`, "GET",
			"x-envoy-upstream-rq-timeout-ms: 4000 | x-envoy-max-retries: 0",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := requesttest.Start(t, test.rules)
			_, step := p.Begin(incoming(p, test.method))
			if got := routerHeaders(step); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestLongBodiesAreSentOnce: Envoy keeps 1 MiB of a body for a retry.
func TestLongBodiesAreSentOnce(t *testing.T) {
	for length, want := range map[string]string{"0": "2", "1048576": "2", "1048577": "0", "99999999999": "0", "x": "2", "": "2"} {
		p := requesttest.Start(t, `{"retry":{}}`)
		in := incoming(p, "PUT")
		in.Long = retries.TooLong(length)
		if _, step := p.Begin(in); granted(step) != want {
			t.Errorf("content-length %q: got %s retries granted, want %s", length, granted(step), want)
		}
	}
}

// incoming is a request of this method, as the stream describes it.
func incoming(p *requesttest.Proxy, method string) request.Incoming {
	return request.Incoming{Retry: p.Cluster.Retries(method)}
}

// routerHeaders are the headers that a request sets for the router.
func routerHeaders(step request.Step) string {
	var got []string
	for _, h := range step.Set {
		if strings.HasPrefix(h[0], "x-envoy-") {
			got = append(got, h[0]+": "+h[1])
		}
	}
	return strings.Join(got, " | ")
}

// granted is how many retries the router may make.
func granted(step request.Step) string { return requesttest.Header(step.Set, "x-envoy-max-retries") }

// TestProbesGetNoRouterRetries: a probe has one attempt, and its failure does not count as exhausted retries.
func TestProbesGetNoRouterRetries(t *testing.T) {
	p := requesttest.Start(t, `{"retry":{},"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"1s"}}`)
	p.RoundTrip(up, 500)
	p.Now += 1000 * ms
	r, step := p.Begin(incoming(p, "GET"))
	if got := granted(step); got != "0" {
		t.Errorf("a probe: got %s retries granted, want 0", got)
	}
	if step = r.Respond(&request.Response{Status: 500, Details: up, GRPC: -1}, p.Now); requesttest.Header(step.Set, "x-weir-error") != "" {
		t.Errorf("response to a probe: got headers %v, want no x-weir-error", step.Set)
	}
}

// TestUnusedRetriesReturnToTheBudget: once, whatever became of the request.
func TestUnusedRetriesReturnToTheBudget(t *testing.T) {
	const rules = `{"retry":{"budget":{"percent":0,"min_per_second":0.4}},"rate_limit":{"requests":100%s},"fallback":{"enable_degraded_mode":false}}`
	ends := map[string]func(p *requesttest.Proxy, r *request.Request){
		"success":         func(p *requesttest.Proxy, r *request.Request) { respond(p, r, 200, 2) },
		"status 404":      func(p *requesttest.Proxy, r *request.Request) { respond(p, r, 404, 2) },
		"the client left": func(p *requesttest.Proxy, r *request.Request) { r.Gone(requesttest.ClientLeft, 2, p.Now) },
		"reset": func(p *requesttest.Proxy, r *request.Request) {
			r.Gone("upstream_reset_after_response_started{x}", 2, p.Now)
		},
		"abandoned": func(p *requesttest.Proxy, r *request.Request) { r.Abandon(p.Now) },
	}
	// By key the budget is asked after the limit, apart from the breaker, which has a change of the record before it.
	for _, key := range []string{"", `,"key":["path"]`, `,"key":["path"]},"circuit_breaker":{},"bulkhead":{"max_concurrent":9`} {
		for name, end := range ends {
			t.Run(name+key, func(t *testing.T) {
				p := requesttest.Start(t, fmt.Sprintf(rules, key))
				// The budget is 4, of which each request reserves 2.
				first, step := p.Begin(incoming(p, "GET"))
				second, other := p.Begin(incoming(p, "GET"))
				_, none := p.Begin(incoming(p, "GET"))
				if granted(step) != "2" || granted(other) != "2" || granted(none) != "0" {
					t.Fatalf("got %s, %s and %s of 4 granted, want 2, 2 and 0", granted(step), granted(other), granted(none))
				}
				end(p, first)
				end(p, first)
				want := "1" // the router made one of the two
				if name == "abandoned" {
					want = "2" // it is not known whether the router made any
				}
				if _, step = p.Begin(incoming(p, "GET")); granted(step) != want {
					t.Errorf("the next request: got %s granted, want %s", granted(step), want)
				}
				respond(p, second, 200, 1)
				if _, step = p.Begin(incoming(p, "GET")); granted(step) != "2" {
					t.Errorf("after a request without retries: got %s granted, want 2", granted(step))
				}
			})
		}
	}
}

// respond has a response come after so many attempts of the router, and end.
func respond(p *requesttest.Proxy, r *request.Request, status, attempts int) request.Step {
	step := r.Respond(&request.Response{Status: status, Details: up, GRPC: -1, Attempts: attempts}, p.Now)
	r.End(-1, p.Now)
	r.Gone(up, attempts, p.Now)
	return step
}

// TestRefusedRequestsReserveNoRetries: the budget does not count what a limit refuses.
func TestRefusedRequestsReserveNoRetries(t *testing.T) {
	for _, key := range []string{"", `,"key":["path"]`} {
		p := requesttest.Start(t, `{"retry":{"budget":{"percent":0,"min_per_second":0.2}},"rate_limit":{"requests":2`+key+`}}`)
		first, step := p.Begin(incoming(p, "GET"))
		if granted(step) != "2" {
			t.Fatalf("the first request: got %s granted, want 2", granted(step))
		}
		respond(p, first, 200, 1)
		p.Begin(incoming(p, "POST")) // takes the last of the limit, and no retry
		if _, step = p.Begin(incoming(p, "GET")); step.Kind != request.SendReply {
			t.Fatalf("above the limit: got step %v, want SendReply", step.Kind)
		}
		p.Now += 3600 * 1000 * ms
		if _, step = p.Begin(incoming(p, "GET")); granted(step) != "2" {
			t.Errorf("an hour later: got %s granted, want 2", granted(step))
		}
	}
}

// TestRetriesExhausted is which responses are marked, and the events of retries.
func TestRetriesExhausted(t *testing.T) {
	const rules = `{"retry":{"retry_on":["5xx","reset","connect_failure","429"]}%s}`
	tests := []struct {
		name, more, method string
		status, attempts   int
		want               string // x-weir-error
		events             []string
	}{
		{
			"all attempts failed", "", "GET", 503, 3, "RetryExhausted",
			[]string{"retry 1 of 2 by the router", "retry 2 of 2 by the router", "retries exhausted"},
		},
		{
			"the last attempt failed, by retry_on only", "", "GET", 429, 3, "RetryExhausted",
			[]string{"retry 1 of 2 by the router", "retry 2 of 2 by the router", "retries exhausted"},
		},
		{"the last attempt succeeded", "", "GET", 200, 3, "", []string{"retry 1 of 2 by the router", "retry 2 of 2 by the router"}},
		{"status not in retry_on", "", "GET", 404, 1, "", nil},
		{"method not listed", "", "POST", 503, 1, "", nil},
		{"the router made no retry", "", "GET", 503, 1, "", nil},
		{"the budget is spent", "", "GET, after another", 503, 1, "RetryExhausted", []string{"retries exhausted"}},
		{
			"a fallback answers", `,"fallback":{}`, "GET", 503, 3, "",
			[]string{"retry 1 of 2 by the router", "retry 2 of 2 by the router", "retries exhausted"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := requesttest.Start(t, fmt.Sprintf(rules, test.more))
			method, after := strings.CutSuffix(test.method, ", after another")
			if after {
				p = requesttest.Start(t, `{"retry":{"budget":{"percent":0,"min_per_second":0.2}}}`)
				p.Begin(incoming(p, method))
			}
			r, _ := p.Begin(incoming(p, method))
			p.Observer.Events = nil
			step := respond(p, r, test.status, test.attempts)
			got := requesttest.Header(step.Set, "x-weir-error") + requesttest.Header(requesttest.Reply(step).Headers, "x-weir-error")
			if got != test.want {
				t.Errorf("got x-weir-error %q, want %q", got, test.want)
			}
			if diff := cmp.Diff(test.events, p.Observer.Matching("retr")); diff != "" {
				t.Errorf("events: want (-), got (+):\n%s", diff)
			}
		})
	}
}

// TestUnkeptBody: upstream failed, but the request's body is longer than the router keeps. Its 507 says nothing of that.
func TestUnkeptBody(t *testing.T) {
	for rules, want := range map[string]string{
		`{"retry":{},"circuit_breaker":{"failure_threshold":1}}`:     "503 error upstream_failure",
		`{"retry":{},"fallback":{"enable_cache_fallback":false}}`:    "503 degraded upstream_failure",
		`{"retry":{},"bulkhead":{"max_concurrent":1},"fallback":{}}`: "503 degraded upstream_failure",
	} {
		p := requesttest.Start(t, rules)
		for range 2 { // nothing is held, and the breaker did not open
			r, _ := p.Begin(incoming(p, "PUT"))
			if got := replied(r.Respond(&request.Response{Status: 507, Details: outcome.DetailsUnkept, GRPC: -1}, p.Now)); got != want {
				t.Errorf("%s: got %s, want %s", rules, got, want)
			}
		}
	}
}

// replied is a local reply's status, source and reason.
func replied(step request.Step) string {
	r := requesttest.Reply(step)
	return fmt.Sprint(r.Status, " ", requesttest.Header(r.Headers, "x-weir-source"), " ", requesttest.Header(r.Headers, "x-weir-reason"))
}

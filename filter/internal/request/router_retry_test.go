package request_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
)

// TestRouterRetries is what the router is told, by the policy and the request.
func TestRouterRetries(t *testing.T) {
	tests := []struct{ name, rules, method, want string }{
		{
			"the defaults", `{"retry":{}}`, "GET",
			"x-envoy-max-retries: 2 | x-envoy-retry-on: 5xx",
		},
		{"a method that is not listed", `{"retry":{}}`, "POST", "x-envoy-max-retries: 0"},
		{"methods are case-sensitive", `{"retry":{}}`, "get", "x-envoy-max-retries: 0"},
		{"one that is", `{"retry":{"methods":["POST"],"max_attempts":2}}`, "POST", "x-envoy-max-retries: 1 | x-envoy-retry-on: 5xx"},
		{"one attempt", `{"retry":{"max_attempts":1}}`, "GET", "x-envoy-max-retries: 0"},
		{"no budget", `{"retry":{"budget":{"percent":0,"min_per_second":0}}}`, "GET", "x-envoy-max-retries: 0"},
		{"a budget for one", `{"retry":{"max_attempts":10,"budget":{"percent":0,"min_per_second":0.1}}}`, "GET", "x-envoy-max-retries: 1 | x-envoy-retry-on: 5xx"},
		{
			"time-outs", `{"retry":{"per_try_timeout":"1500ms"},"circuit_breaker":{"timeout":"4s"}}`, "GET",
			"x-envoy-upstream-rq-timeout-ms: 4000 | x-envoy-upstream-rq-per-try-timeout-ms: 1500 | x-envoy-max-retries: 2 | x-envoy-retry-on: 5xx",
		},
		{
			"statuses", `{"retry":{"retry_on":["503",429]}}`, "GET",
			"x-envoy-max-retries: 2 | x-envoy-retry-on: retriable-status-codes | x-envoy-retriable-status-codes: 429,503",
		},
		{
			"more than 5xx", `{"retry":{"retry_on":["5xx","reset","connect_failure","429"]}}`, "GET",
			"x-envoy-max-retries: 2 | x-envoy-retry-on: 5xx,retriable-status-codes | x-envoy-retriable-status-codes: 429",
		},
		{"a connection", `{"retry":{"retry_on":["connect_failure"]}}`, "GET", "x-envoy-max-retries: 2 | x-envoy-retry-on: connect-failure"},
		{"a timeout", `{"retry":{"retry_on":["timeout"]}}`, "GET", "x-envoy-max-retries: 2 | x-envoy-retry-on: reset"},
		{
			"gRPC", `{"retry":{"methods":["POST"],"retry_on":["grpc:unavailable","grpc:deadline_exceeded"]}}`, "POST",
			"x-envoy-max-retries: 2 | x-envoy-retry-grpc-on: deadline-exceeded,unavailable",
		},
		{"nothing at all", `{"retry":{"retry_on":[]}}`, "GET", "x-envoy-max-retries: 2"},
		{"in shadow", `{"mode":"shadow","retry":{}}`, "GET", ""},
		{"driver filter", `{"retry":{"driver":"filter"}}`, "GET", "x-envoy-max-retries: 0"},
		{
			"driver filter: the router makes one try", `{"retry":{"driver":"filter","per_try_timeout":1},"circuit_breaker":{"timeout":"4s"}}`, "GET",
			"x-envoy-upstream-rq-timeout-ms: 1000 | x-envoy-max-retries: 0",
		},
		{
			"driver filter: no longer than the deadline", `{"retry":{"driver":"filter","per_try_timeout":9},"circuit_breaker":{"timeout":"4s"}}`, "GET",
			"x-envoy-upstream-rq-timeout-ms: 4000 | x-envoy-max-retries: 0",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := requesttest.Start(t, test.rules)
			_, step := p.Begin(p.request(test.method))
			if got := toldRouter(step); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestLongBodiesAreSentOnce: Envoy keeps a mebibyte of a body for a retry.
func TestLongBodiesAreSentOnce(t *testing.T) {
	for length, want := range map[string]string{"0": "2", "1048576": "2", "1048577": "0", "99999999999": "0", "x": "2", "": "2"} {
		p := requesttest.Start(t, `{"retry":{}}`)
		request := p.request("PUT")
		request.Long = retries.TooLong(length)
		if _, step := p.Begin(request); granted(step) != want {
			t.Errorf("content-length %q: granted %s, want %s", length, granted(step), want)
		}
	}
}

// request is one of this method, as the stream makes it.
func (p *requesttest.Proxy) request(method string) request.Incoming {
	return request.Incoming{Method: method, Retry: p.Cluster.Retries(method)}
}

func toldRouter(step request.Step) string {
	var got []string
	for _, h := range step.Set {
		if strings.HasPrefix(h[0], "x-envoy-") {
			got = append(got, h[0]+": "+h[1])
		}
	}
	return strings.Join(got, " | ")
}

func granted(step request.Step) string { return requesttest.Header(step.Set, "x-envoy-max-retries") }

// TestRetriesOfAProbe: while the breaker is half-open each request is tried once, and its failure is nobody's running out.
func TestRetriesOfAProbe(t *testing.T) {
	p := requesttest.Start(t, `{"retry":{},"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"1s"}}`)
	p.RoundTrip(up, 500)
	p.Now += 1000 * ms
	x, step := p.Begin(p.request("GET"))
	if got := granted(step); got != "0" {
		t.Errorf("a probe was granted %s retries", got)
	}
	if step = x.Respond(&request.Response{Status: 500, Details: up, GRPC: -1}, p.Now); requesttest.Header(step.Set, "x-weir-error") != "" {
		t.Errorf("a probe's answer says %v", step.Set)
	}
}

// TestRouterRetriesSettle: what the router did not use goes back to the budget, whatever became of the request, once.
func TestRouterRetriesSettle(t *testing.T) {
	const rules = `{"retry":{"budget":{"percent":0,"min_per_second":0.4}},"rate_limit":{"requests":100%s},"fallback":{"enable_degraded_mode":false}}`
	ends := map[string]func(p *requesttest.Proxy, x *request.Request){
		"answered":         func(p *requesttest.Proxy, x *request.Request) { p.answer(x, 200, 2) },
		"a failure":        func(p *requesttest.Proxy, x *request.Request) { p.answer(x, 404, 2) },
		"the client left":  func(p *requesttest.Proxy, x *request.Request) { x.Gone(requesttest.ClientLeft, 2, p.Now) },
		"a reset":          func(p *requesttest.Proxy, x *request.Request) { x.Gone("upstream_reset_after_response_started{x}", 2, p.Now) },
		"abandoned, later": func(p *requesttest.Proxy, x *request.Request) { x.Abandon(p.Now) },
	}
	for _, key := range []string{"", `,"key":["path"]`} {
		for name, end := range ends {
			t.Run(name+key, func(t *testing.T) {
				p := requesttest.Start(t, fmt.Sprintf(rules, key))
				// The budget is 4, of which each request reserves 2.
				first, step := p.Begin(p.request("GET"))
				second, other := p.Begin(p.request("GET"))
				_, none := p.Begin(p.request("GET"))
				if granted(step) != "2" || granted(other) != "2" || granted(none) != "0" {
					t.Fatalf("granted %s, %s and %s of 4", granted(step), granted(other), granted(none))
				}
				end(p, first)
				end(p, first)
				want := "1" // one of the two was used
				if strings.HasPrefix(name, "abandoned") {
					want = "2" // nobody knows of any
				}
				if _, step = p.Begin(p.request("GET")); granted(step) != want {
					t.Errorf("after %s the next one is granted %s, want %s", name, granted(step), want)
				}
				p.answer(second, 200, 1)
				if _, step = p.Begin(p.request("GET")); granted(step) != "2" {
					t.Errorf("after a second one without retries %s are granted, want 2", granted(step))
				}
			})
		}
	}
}

// answer has upstream answer after so many tries, whole.
func (p *requesttest.Proxy) answer(x *request.Request, status, tries int) request.Step {
	step := x.Respond(&request.Response{Status: status, Details: up, GRPC: -1, Attempts: tries}, p.Now)
	x.End(-1, p.Now)
	x.Gone(up, tries, p.Now)
	return step
}

// TestRefusedTakesNoRetry: what a limit refuses is no request of the budget's, and reserves nothing.
func TestRefusedTakesNoRetry(t *testing.T) {
	for _, key := range []string{"", `,"key":["path"]`} {
		p := requesttest.Start(t, `{"retry":{"budget":{"percent":0,"min_per_second":0.2}},"rate_limit":{"requests":2`+key+`}}`)
		first, step := p.Begin(p.request("GET"))
		if granted(step) != "2" {
			t.Fatalf("granted %s", granted(step))
		}
		p.answer(first, 200, 1)
		p.Begin(p.request("POST")) // takes the limit's last place, and no retry
		if _, step = p.Begin(p.request("GET")); step.Kind != request.SendReply {
			t.Fatalf("the third of two passes")
		}
		p.Now += 3600 * 1000 * ms
		if _, step = p.Begin(p.request("GET")); granted(step) != "2" {
			t.Errorf("granted %s, want 2", granted(step))
		}
	}
}

// TestRetriesExhausted is what the last answer says.
func TestRetriesExhausted(t *testing.T) {
	const rules = `{"retry":{"retry_on":["5xx","reset","connect_failure","429"]}%s}`
	tests := []struct {
		name, more, method string
		status, tries      int
		want               string // x-weir-error
		events             []string
	}{
		{"all tries failed", "", "GET", 503, 3, "RetryExhausted", []string{"retry 1 of 2 by the router", "retry 2 of 2 by the router", "retries exhausted"}},
		{"the last one is none of upstream's failures", "", "GET", 429, 3, "RetryExhausted", []string{"retry 1 of 2 by the router", "retry 2 of 2 by the router", "retries exhausted"}},
		{"the last one succeeded", "", "GET", 200, 3, "", []string{"retry 1 of 2 by the router", "retry 2 of 2 by the router"}},
		{"what is not tried again", "", "GET", 404, 1, "", nil},
		{"not tried again for its method", "", "POST", 503, 1, "", nil},
		{"the router did not try again", "", "GET", 503, 1, "", nil},
		{"the budget is spent", "", "GET again", 503, 1, "RetryExhausted", []string{"retries exhausted"}},
		{"a fallback answers", `,"fallback":{}`, "GET", 503, 3, "", []string{"retry 1 of 2 by the router", "retry 2 of 2 by the router", "retries exhausted"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := requesttest.Start(t, fmt.Sprintf(rules, test.more))
			method, again := strings.CutSuffix(test.method, " again")
			if again {
				p = requesttest.Start(t, `{"retry":{"budget":{"percent":0,"min_per_second":0.2}}}`)
				p.Begin(p.request(method))
			}
			x, _ := p.Begin(p.request(method))
			p.Observer.Events = nil
			step := p.answer(x, test.status, test.tries)
			got := requesttest.Header(step.Set, "x-weir-error") + requesttest.Header(step.Reply.Headers, "x-weir-error")
			if got != test.want {
				t.Errorf("x-weir-error: %q, want %q", got, test.want)
			}
			var events []string
			for _, e := range p.Observer.Events {
				if strings.Contains(e, "retr") {
					events = append(events, e)
				}
			}
			if diff := cmp.Diff(test.events, events); diff != "" {
				t.Errorf("wanted (-) and got (+):\n%s", diff)
			}
		})
	}
}

// regions is a cluster and those that it fails over to, in one worker.
type regions struct {
	*requesttest.Proxy
	plans map[string]*request.Cluster
}

func startRegions(t *testing.T, document string) *regions {
	t.Helper()
	d, err := policy.Decode([]byte(document), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	seen := &record{}
	worker, err := flow.NewWorker(sharedstate.NewMemory(), [16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	r := &regions{&proxy{t, worker, nil, seen, 3600 * 1000 * ms}, map[string]*request.Cluster{}}
	for _, name := range []string{"aws", "eu", "us"} {
		rules := d.For(name)
		if rules == nil {
			rules = &policy.Policy{}
		}
		r.plans[name] = flow.NewPlan(name, rules, worker, nil, seen)
		r.plans[name].FindClustersBy(func(name string) *request.Cluster { return r.plans[name] })
	}
	return r
}

// goes sends one request to a cluster; where it ends up (or why not) is answered with status.
func (r *regions) goes(cluster string, status int) string {
	x := &request.Request{}
	plan := r.plans[cluster]
	step := x.Begin(plan, &request.Incoming{}, r.Now)
	if step.Kind == request.Failover {
		cluster = requesttest.Header(step.Set, "x-weir-cluster")
		if plan = r.plans[cluster]; plan != step.To {
			r.Fatalf("the header says %s, the plan is that of %s", cluster, step.To.Cluster())
		}
		step = x.Begin(plan, &request.Incoming{FailedOver: true}, r.Now)
	}
	switch step.Kind {
	case request.Continue:
		x.Respond(&request.Response{Status: status, Details: up, GRPC: -1}, r.Now)
		x.End(-1, r.Now)
		return cluster
	case request.SendReply:
		return cluster + " " + requesttest.Header(step.Reply.Headers, "x-weir-reason")
	default:
		return fmt.Sprint("step ", step.Kind)
	}
}

func TestFailover(t *testing.T) {
	const breaker = `"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"10s","half_open_max_calls":1,"success_threshold":1}`
	r := startRegions(t, `{"clusters":{
		"aws":{`+breaker+`,"failover":{"to":["eu","us"]}},
		"eu":{`+breaker+`,"rate_limit":{"requests":3,"window_size":"3600s"},"failover":{"to":["aws"]}}}}`)
	moments := []struct {
		after  int64 // milliseconds
		to     string
		status int
		want   string
	}{
		{0, "aws", 200, "aws"},
		{0, "aws", 500, "aws"},
		{0, "aws", 200, "eu"},
		{0, "aws", 500, "eu"},
		{0, "aws", 500, "us"}, // eu's breaker is open as well, and us has no policy
		{0, "eu", 200, "eu circuit_open"},
		{9_000, "aws", 200, "us"},
		{1_000, "aws", 500, "aws"}, // the recovery time is over: a probe goes to the primary
		{0, "aws", 200, "eu"},      // eu's probe
		{0, "aws", 200, "eu rate_limited"},
		{10_000, "aws", 200, "aws"},
		{0, "aws", 200, "aws"},
	}
	for i, m := range moments {
		r.Now += m.after * ms
		if got := r.goes(m.to, m.status); got != m.want {
			t.Errorf("moment %d: it goes to %s, want %s", i, got, m.want)
		}
	}
}

// TestFailoverMissed: a request that did not arrive where the header says went past the breaker, which then refuses for
// a while.
func TestFailoverMissed(t *testing.T) {
	r := startRegions(t, `{"clusters":{"aws":{"circuit_breaker":{"failure_threshold":1},"failover":{"to":["eu"]}}}}`)
	r.goes("aws", 500)
	if got := r.goes("aws", 200); got != "eu" {
		t.Fatalf("it goes to %s", got)
	}
	r.plans["aws"].Misrouted(r.Now)
	for _, m := range []struct {
		after int64
		want  string
	}{{0, "aws circuit_open"}, {9_999, "aws circuit_open"}, {1, "eu"}} {
		r.Now += m.after * ms
		if got := r.goes("aws", 200); got != m.want {
			t.Errorf("it goes to %s, want %s", got, m.want)
		}
	}
}

// TestFailoverInShadow: a policy in shadow moves nothing.
func TestFailoverInShadow(t *testing.T) {
	r := startRegions(t, `{"clusters":{"aws":{"mode":"shadow","circuit_breaker":{"failure_threshold":1},"failover":{"to":["eu"]}}}}`)
	r.goes("aws", 500)
	if got := r.goes("aws", 200); got != "aws" {
		t.Errorf("it goes to %s", got)
	}
}

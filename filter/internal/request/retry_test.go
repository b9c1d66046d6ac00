package request_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/sharedstate"
)

// upstreamOf answers try n (from 0, the first one is the router's) of one request.
type upstreamOf func(n int) request.AttemptResult

func fails(status int) upstreamOf {
	return func(n int) request.AttemptResult {
		return request.AttemptResult{Details: up, Status: status, Headers: []header.Pair{{"x-try", fmt.Sprint(n)}}, Body: []byte{byte(n)}}
	}
}

func failsUntil(n, status int) upstreamOf {
	return func(i int) request.AttemptResult {
		a := fails(status)(i)
		if i >= n {
			a.Status = 200
		}
		return a
	}
}

// tries sends one request whose replays the filter makes, and tells when each try went out and where to. Each takes a
// millisecond.
func (p *requesttest.Proxy) tries(plan *request.Cluster, answers upstreamOf) (x *request.Request, last request.Step, sent []string) {
	p.Helper()
	x = &request.Request{}
	begun := p.Now
	step := x.Begin(plan, &request.Incoming{Retry: plan.Retries("GET")}, p.Now)
	if step.Kind != request.Continue {
		return x, step, []string{"refused"}
	}
	p.Now += ms
	records := x.Records()
	a := answers(0)
	step = x.Respond(&request.Response{Status: a.Status, Details: a.Details, GRPC: -1, Replayable: records, RetryAfter: a.RetryAfter}, p.Now)
	for n := 1; step.Kind == request.HoldResponse; n++ {
		due, waits := x.Waits()
		if !waits || !x.Held() || x.WantsResponse() {
			p.Fatalf("after Wait: waits %v, replaying %v, wants the answer %v", waits, x.Held(), x.WantsResponse())
		}
		p.Now = due
		if step = x.Due(nil, p.Now); step.Kind != request.SendAttempt {
			break
		}
		sent = append(sent, fmt.Sprintf("%s@%v", step.Attempt.Cluster, time.Duration(p.Now-begun)))
		p.Now += ms
		a := answers(n)
		step = x.AttemptEnded(&a, p.Now)
	}
	if x.Held() {
		p.Errorf("it is over, and the exchange still replays")
	}
	return x, step, sent
}

func answered(step request.Step) string {
	headers, text := step.Set, "first answer"
	if step.Kind == request.SendReply {
		headers, text = step.Reply.Headers, strings.TrimSpace(fmt.Sprintf("%d %s", step.Reply.Status, requesttest.Header(step.Reply.Headers, "x-try")))
	}
	for _, name := range []string{"x-weir-source", "x-weir-reason", "x-weir-error"} {
		if v := requesttest.Header(headers, name); v != "" {
			text += " " + v
		}
	}
	return strings.TrimSpace(text)
}

func TestReplays(t *testing.T) {
	const driver = `"driver":"filter","jitter":false,"base_delay":"100ms"`
	retryAfter := func(status int, wait time.Duration) upstreamOf {
		return func(n int) request.AttemptResult {
			a := fails(status)(n)
			a.RetryAfter = wait
			return a
		}
	}
	tests := []struct {
		name, rules string
		upstream    upstreamOf
		want        string // tries sent, and the answer
	}{
		{"nothing fails", `{"retry":{` + driver + `}}`, failsUntil(0, 503), "first answer upstream"},
		{
			"the second try succeeds", `{"retry":{` + driver + `}}`, failsUntil(1, 503),
			"aws@101ms | 200 1 upstream",
		},
		{
			"all fail", `{"retry":{` + driver + `,"max_attempts":4}}`, fails(503),
			"aws@101ms aws@302ms aws@703ms | 503 3 upstream upstream_failure RetryExhausted",
		},
		{
			"another base, up to max_delay", `{"retry":{` + driver + `,"max_attempts":5,"exponential_base":3,"max_delay":"500ms"}}`, fails(503),
			"aws@101ms aws@402ms aws@903ms aws@1.404s | 503 4 upstream upstream_failure RetryExhausted",
		},
		{"what is not listed", `{"retry":{` + driver + `,"retry_on":["502"]}}`, fails(503), "first answer upstream upstream_failure"},
		{"what is listed and no failure", `{"retry":{` + driver + `,"retry_on":["429"],"max_attempts":2}}`, fails(429), "aws@101ms | 429 1 upstream RetryExhausted"},
		{"upstream asks for more", `{"retry":{` + driver + `,"max_attempts":2}}`, retryAfter(503, time.Second), "aws@1.001s | 503 1 upstream upstream_failure RetryExhausted"},
		{"upstream asks for too much", `{"retry":{` + driver + `,"max_attempts":2,"max_delay":"400ms"}}`, retryAfter(503, time.Second), "aws@401ms | 503 1 upstream upstream_failure RetryExhausted"},
		{"via", `{"retry":{` + driver + `,"via":"rewritten","max_attempts":2}}`, failsUntil(1, 503), "rewritten@101ms | 200 1 upstream"},
		{
			"the deadline is near", `{"retry":{` + driver + `,"max_attempts":5},"circuit_breaker":{"timeout":"700ms"}}`, fails(503),
			"aws@101ms aws@302ms | 503 2 upstream upstream_failure RetryExhausted",
		},
		{
			"the breaker opens", `{"retry":{` + driver + `,"max_attempts":5},"circuit_breaker":{"failure_threshold":2}}`, fails(503),
			"aws@101ms | 503 1 upstream upstream_failure RetryExhausted",
		},
		{
			"the limit", `{"retry":{` + driver + `,"max_attempts":5},"rate_limit":{"requests":3}}`, fails(503),
			"aws@101ms aws@302ms | 503 2 upstream upstream_failure RetryExhausted",
		},
		{
			"a limit by key", `{"retry":{` + driver + `,"max_attempts":5},"rate_limit":{"requests":3,"key":["path"]}}`, fails(503),
			"aws@101ms aws@302ms | 503 2 upstream upstream_failure RetryExhausted",
		},
		{
			"the budget", `{"retry":{` + driver + `,"max_attempts":5,"budget":{"percent":0,"min_per_second":0.1}}}`, fails(503),
			"aws@101ms | 503 1 upstream upstream_failure RetryExhausted",
		},
		{"no budget", `{"retry":{` + driver + `,"budget":{"percent":0,"min_per_second":0}}}`, fails(503), "first answer upstream upstream_failure RetryExhausted"},
		{"a fallback", `{"retry":{` + driver + `,"max_attempts":2},"fallback":{"enable_cache_fallback":false}}`, fails(503), "aws@101ms | 503 degraded upstream_failure"},
		{"a bulkhead is free between tries", `{"retry":{` + driver + `,"max_attempts":2},"bulkhead":{"max_concurrent":1}}`, failsUntil(1, 503), "aws@101ms | 200 1 upstream"},
		{"a long answer that fails is not kept", `{"retry":{` + driver + `,"max_attempts":3,"max_body_bytes":5},"rate_limit":{"requests":2}}`, fails(503), "aws@101ms | first answer upstream upstream_failure RetryExhausted"},
		{
			"Envoy's words", `{"retry":{` + driver + `,"max_attempts":2}}`,
			func(int) request.AttemptResult { return request.AttemptResult{Details: "response_timeout", Status: 504} },
			"aws@101ms | 504 error upstream_failure RetryExhausted",
		},
		{
			"a try that can't be sent", `{"retry":{` + driver + `,"max_attempts":3}}`,
			func(n int) request.AttemptResult {
				if n == 0 {
					return fails(503)(0)
				}
				return request.AttemptResult{Details: "no_healthy_upstream", Status: 503, Unfit: true}
			},
			"aws@101ms aws@302ms | first answer upstream upstream_failure RetryExhausted",
		},
		{
			"an answer that is too long for a local reply", `{"retry":{` + driver + `}}`,
			func(n int) request.AttemptResult {
				a := failsUntil(1, 503)(n)
				a.Unfit = n == 1
				return a
			},
			"aws@101ms | first answer upstream upstream_failure",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := requesttest.Start(t, test.rules)
			x, step, sent := p.tries(p.Cluster, test.upstream)
			got := answered(step)
			if len(sent) > 0 {
				got = strings.Join(sent, " ") + " | " + got
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			x.End(-1, p.Now)
			x.Gone(up, 0, p.Now)
			if x.Open() {
				t.Error("something is still open")
			}
		})
	}
}

// TestReplayOutcomes: each try is an outcome of its own, and the events tell of each.
func TestReplayOutcomes(t *testing.T) {
	p := requesttest.Start(t, `{"retry":{"driver":"filter","jitter":false},"circuit_breaker":{"failure_threshold":3}}`)
	p.tries(p.Cluster, fails(503))
	want := []string{
		"decided allowed",
		"retry 1 of 2 to aws after 1s: status 503",
		"retry 2 of 2 to aws after 2s: status 503",
		"closed -> open: consecutive_failures, status 503",
		"retries exhausted",
		"response from upstream",
	}
	if diff := cmp.Diff(want, p.Observer.Events); diff != "" {
		t.Errorf("wanted (-) and got (+):\n%s", diff)
	}
}

// TestReplaysOfAProbe: half-open, one try is all; and a replay never becomes a probe.
func TestReplaysOfAProbe(t *testing.T) {
	p := requesttest.Start(t, `{"retry":{"driver":"filter","jitter":false},"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"1s"}}`)
	if _, _, sent := p.tries(p.Cluster, fails(503)); len(sent) != 0 {
		t.Errorf("after the breaker opened %v was sent", sent) // its wait is over just when the replay is due
	}
	p.Now += 1000 * ms
	if _, _, sent := p.tries(p.Cluster, fails(503)); len(sent) != 0 {
		t.Errorf("a probe was followed by %v", sent)
	}
	p.Now += 1000 * ms
	if _, step, sent := p.tries(p.Cluster, failsUntil(0, 503)); step.Kind != request.Continue || len(sent) != 0 {
		t.Errorf("the probe's place was not given back: %v", step)
	}
}

// TestReplaysLeave: a client that leaves takes with it what its request holds, whatever it waits for, and late answers
// meet nobody.
func TestReplaysLeave(t *testing.T) {
	const rules = `{"retry":{"driver":"filter","jitter":false,"base_delay":"10ms"},"bulkhead":{"max_concurrent":1},"circuit_breaker":{}}`
	const gone = requesttest.ClientLeft
	for _, stage := range []string{"waiting", "out"} {
		t.Run(stage, func(t *testing.T) {
			p := requesttest.Start(t, rules)
			x, _ := p.Begin(p.request("GET"))
			if step := x.Respond(&request.Response{Status: 503, Details: up, GRPC: -1, Replayable: true}, p.Now); step.Kind != request.HoldResponse {
				t.Fatalf("step %v", step)
			}
			if stage == "out" {
				p.Now += 10 * ms
				if step := x.Due(nil, p.Now); step.Kind != request.SendAttempt {
					t.Fatalf("step %v", step)
				}
				if _, step := p.Begin(p.request("GET")); step.Kind != request.SendReply {
					t.Fatal("a try holds no place of the bulkhead")
				}
			}
			x.Gone(gone, 0, p.Now)
			if x.Open() {
				t.Error("something is still open")
			}
			if _, step := p.Begin(p.request("GET")); step.Kind != request.Continue {
				t.Errorf("the place in the bulkhead was not given back")
			}
		})
	}
}

// TestReplaysTryRegions: with failover each later try goes to the next region whose breaker is closed.
func TestReplaysTryRegions(t *testing.T) {
	r := startRegions(t, `{"clusters":{
		"aws":{"retry":{"driver":"filter","jitter":false,"base_delay":"100ms","max_attempts":6},"failover":{"to":["eu","us"]}},
		"eu":{"rate_limit":{"requests":1,"key":["path"]}},
		"us":{"circuit_breaker":{"failure_threshold":1},"rate_limit":{"requests":100}}}}`)
	keyed := 0
	key := func(p *request.Cluster) sharedstate.Fingerprint {
		keyed++
		if p.Cluster() != "eu" {
			t.Errorf("a key for %s", p.Cluster())
		}
		return sharedstate.Fingerprint{Lo: 1}
	}
	x := &request.Request{}
	x.Begin(r.plans["aws"], &request.Incoming{Retry: true}, r.Now)
	step := x.Respond(&request.Response{Status: 503, Details: up, GRPC: -1, Replayable: true}, r.Now)
	var sent []string
	for step.Kind == request.HoldResponse {
		r.Now, _ = x.Waits()
		if step = x.Due(key, r.Now); step.Kind == request.SendAttempt {
			sent = append(sent, step.Attempt.Cluster)
			a := fails(503)(len(sent))
			step = x.AttemptEnded(&a, r.Now)
		}
	}
	// eu, us (whose breaker opens), aws, then eu again, whose limit refuses.
	if want := []string{"eu", "us", "aws"}; !slices.Equal(sent, want) || keyed != 2 {
		t.Errorf("sent to %v with %d keys, want %v with 2", sent, keyed, want)
	}
	if got, want := answered(step), "503 3 upstream upstream_failure RetryExhausted"; got != want {
		t.Errorf("answered %s, want %s", got, want)
	}
	if got := r.goes("us", 200); got != "us circuit_open" {
		t.Errorf("the try's outcome was not that of its region: %s", got)
	}
}

// TestReplayIsKept: the answer of a later try is as good for the cache as that of the first.
func TestReplayIsKept(t *testing.T) {
	p := requesttest.Start(t, `{"retry":{"driver":"filter","jitter":false},"fallback":{"enable_default_fallback":false}}`)
	x := &request.Request{}
	key := p.Cluster.Cache().Key(requesttest.Headers{{":method", "GET"}, {":scheme", "http"}, {":authority", "aws"}, {":path", "/a"}}, true)
	x.Begin(p.Cluster, &request.Incoming{Retry: true, Cache: key}, p.Now)
	x.Respond(&request.Response{Status: 503, Details: up, GRPC: -1, Replayable: true}, p.Now)
	p.Now, _ = x.Waits()
	x.Due(nil, p.Now)
	a := request.AttemptResult{Details: up, Status: 200, Body: []byte("kept")}
	if step := x.AttemptEnded(&a, p.Now); step.Kind != request.SendReply || !x.MayKeep() {
		t.Fatalf("step %v, keeps %v", step, x.MayKeep())
	}
	x.Keep(requesttest.Headers{{":status", "200"}, {"content-length", "4"}}, false, p.Now, 1_800_000_000)
	x.Body(a.Body)
	x.End(-1, p.Now)
	if step := p.visit(visit{path: "/a", status: 503}); string(step.Reply.Body) != "kept" {
		t.Errorf("upstream fails: %v", told(step))
	}
}

package request_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-mesh/weir/filter/internal/replay"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/sharedstate"
)

// upstream is how attempt n of a request ends, from 0. The router makes attempt 0, the filter the others.
type upstream func(n int) request.AttemptResult

func fails(status int) upstream {
	return func(n int) request.AttemptResult {
		return request.AttemptResult{
			Details: up, Status: status, Headers: []header.Pair{{"x-attempt", fmt.Sprint(n)}},
			Body: []byte{byte(n)},
		}
	}
}

// failsBefore fails before attempt n.
func failsBefore(n, status int) upstream {
	return func(i int) request.AttemptResult {
		a := fails(status)(i)
		if i >= n {
			a.Status = 200
		}
		return a
	}
}

// attempt sends one request whose retries the filter makes, and returns where each retry went and when, as in
// "aws@101ms". Each attempt takes a millisecond.
func attempt(p *requesttest.Proxy, answer upstream) (r *request.Request, last request.Step, sent []string) {
	p.Helper()
	begun := p.Now
	r, step := p.Begin(incoming(p, "GET"))
	if step.Kind != request.Continue {
		return r, step, []string{"refused"}
	}
	p.Now += ms
	a := answer(0)
	response := request.Response{Status: a.Status, Details: a.Details, GRPC: -1, Replayable: r.Records(), RetryAfter: a.RetryAfter}
	step = r.Respond(&response, p.Now)
	for n := 1; step.Kind == request.HoldResponse; n++ {
		due, waits := r.DueAt()
		if !waits || !r.Held() || r.WantsResponse() {
			p.Fatalf("after HoldResponse: got waits %v, held %v, wants response %v; want true, true, false", waits, r.Held(),
				r.WantsResponse())
		}
		p.Now = due
		if step = r.Due(nil, p.Now); step.Kind != request.SendAttempt {
			break
		}
		sent = append(sent, fmt.Sprintf("%s@%v", step.Send.Cluster, time.Duration(p.Now-begun)))
		p.Now += ms
		a := answer(n)
		step = r.AttemptEnded(&a, p.Now)
	}
	if r.Held() {
		p.Errorf("after step %v: got the response held, want not", step.Kind)
	}
	return r, step, sent
}

// responseSummary is the response that the client gets, as in "503 2 upstream upstream_failure RetryExhausted": its
// status, the attempt that it is of, and Weir's headers.
func responseSummary(step request.Step) string {
	headers, text := step.Set, "first response"
	if step.Kind == request.SendReply {
		headers = step.Reply.Headers
		text = strings.TrimSpace(fmt.Sprintf("%d %s", step.Reply.Status, requesttest.Header(headers, "x-attempt")))
	}
	for _, name := range []string{"x-weir-source", "x-weir-reason", "x-weir-error"} {
		if v := requesttest.Header(headers, name); v != "" {
			text += " " + v
		}
	}
	return strings.TrimSpace(text)
}

func TestRetriesByFilter(t *testing.T) {
	const driver = `"driver":"filter","jitter":false,"base_delay":"100ms"`
	retryAfter := func(status int, wait time.Duration) upstream {
		return func(n int) request.AttemptResult {
			a := fails(status)(n)
			a.RetryAfter = wait
			return a
		}
	}
	tests := []struct {
		name, rules string
		upstream    upstream
		want        string // the retries, and the response
	}{
		{"nothing fails", `{"retry":{` + driver + `}}`, failsBefore(0, 503), "first response upstream"},
		{
			"the second attempt succeeds", `{"retry":{` + driver + `}}`, failsBefore(1, 503),
			"aws@101ms | 200 1 upstream",
		},
		{
			"all fail", `{"retry":{` + driver + `,"max_attempts":4}}`, fails(503),
			"aws@101ms aws@302ms aws@703ms | 503 3 upstream upstream_failure RetryExhausted",
		},
		{
			"exponential_base 3, up to max_delay", `{"retry":{` + driver + `,"max_attempts":5,"exponential_base":3,"max_delay":"500ms"}}`, fails(503),
			"aws@101ms aws@402ms aws@903ms aws@1.404s | 503 4 upstream upstream_failure RetryExhausted",
		},
		{"status not in retry_on", `{"retry":{` + driver + `,"retry_on":["502"]}}`, fails(503), "first response upstream upstream_failure"},
		{
			"status in retry_on, no failure to the breaker", `{"retry":{` + driver + `,"retry_on":["429"],"max_attempts":2}}`,
			fails(429), "aws@101ms | 429 1 upstream RetryExhausted",
		},
		{
			"Retry-After longer than the backoff", `{"retry":{` + driver + `,"max_attempts":2}}`, retryAfter(503, time.Second),
			"aws@1.001s | 503 1 upstream upstream_failure RetryExhausted",
		},
		{
			"Retry-After longer than max_delay", `{"retry":{` + driver + `,"max_attempts":2,"max_delay":"400ms"}}`,
			retryAfter(503, time.Second), "aws@401ms | 503 1 upstream upstream_failure RetryExhausted",
		},
		{"via", `{"retry":{` + driver + `,"via":"rewritten","max_attempts":2}}`, failsBefore(1, 503), "aws@101ms | 200 1 upstream"},
		{
			"no time left before the timeout", `{"retry":{` + driver + `,"max_attempts":5},"circuit_breaker":{"timeout":"700ms"}}`, fails(503),
			"aws@101ms aws@302ms | 503 2 upstream upstream_failure RetryExhausted",
		},
		{
			"the breaker opens", `{"retry":{` + driver + `,"max_attempts":5},"circuit_breaker":{"failure_threshold":2}}`, fails(503),
			"aws@101ms | 503 1 upstream upstream_failure RetryExhausted",
		},
		{
			"the limit refuses", `{"retry":{` + driver + `,"max_attempts":5},"rate_limit":{"requests":3}}`, fails(503),
			"aws@101ms aws@302ms | 503 2 upstream upstream_failure RetryExhausted",
		},
		{
			"a limit by key refuses", `{"retry":{` + driver + `,"max_attempts":5},"rate_limit":{"requests":3,"key":["path"]}}`, fails(503),
			"aws@101ms aws@302ms | 503 2 upstream upstream_failure RetryExhausted",
		},
		{
			"the budget is spent", `{"retry":{` + driver + `,"max_attempts":5,"budget":{"percent":0,"min_per_second":0.1}}}`, fails(503),
			"aws@101ms | 503 1 upstream upstream_failure RetryExhausted",
		},
		{
			"no budget", `{"retry":{` + driver + `,"budget":{"percent":0,"min_per_second":0}}}`, fails(503),
			"first response upstream upstream_failure RetryExhausted",
		},
		{
			"a fallback", `{"retry":{` + driver + `,"max_attempts":2},"fallback":{"enable_cache_fallback":false}}`, fails(503),
			"aws@101ms | 503 degraded upstream_failure",
		},
		{
			"no place of the bulkhead is held between attempts",
			`{"retry":{` + driver + `,"max_attempts":2},"bulkhead":{"max_concurrent":1}}`, failsBefore(1,
				503), "aws@101ms | 200 1 upstream",
		},
		{
			"a failed response too long to be held",
			`{"retry":{` + driver + `,"max_attempts":3,"max_body_bytes":5},"rate_limit":{"requests":2}}`, fails(503), "aws@101ms | first response upstream upstream_failure RetryExhausted",
		},
		{
			"a response of Envoy's own", `{"retry":{` + driver + `,"max_attempts":2}}`,
			func(int) request.AttemptResult {
				return request.AttemptResult{Details: "response_timeout", Status: 504}
			},
			"aws@101ms | 504 error upstream_failure RetryExhausted",
		},
		{
			"a retry that can't be sent", `{"retry":{` + driver + `,"max_attempts":3}}`,
			func(n int) request.AttemptResult {
				if n == 0 {
					return fails(503)(0)
				}
				return request.AttemptResult{Details: "no_healthy_upstream", Status: 503, Reason: replay.InvalidStatus}
			},
			"aws@101ms aws@302ms | first response upstream upstream_failure RetryExhausted",
		},
		{
			"a response too long for a local reply", `{"retry":{` + driver + `}}`,
			func(n int) request.AttemptResult {
				a := failsBefore(1, 503)(n)
				if n == 1 {
					a.Reason = replay.InvalidStatus
				}
				return a
			},
			"aws@101ms | first response upstream upstream_failure",
		},
		{
			"another filter of the internal listener answers", `{"retry":{` + driver + `,"max_attempts":3}}`,
			func(n int) request.AttemptResult {
				if n == 0 {
					return fails(503)(0)
				}
				return request.AttemptResult{Details: "rbac_access_denied_matched_policy[none]", Status: 403}
			},
			"aws@101ms | first response upstream upstream_failure RetryExhausted",
		},
		{
			"a good response that can't be carried", `{"retry":{` + driver + `},"circuit_breaker":{"failure_threshold":2}}`,
			func(n int) request.AttemptResult {
				a := failsBefore(1, 503)(n)
				if n == 1 {
					a.Reason = replay.ResponseTooLong
				}
				return a
			},
			"aws@101ms | first response upstream upstream_failure RetryExhausted",
		},
		{
			"a failing response that can't be carried", `{"retry":{` + driver + `,"max_attempts":3}}`,
			func(n int) request.AttemptResult {
				a := failsBefore(2, 503)(n)
				if n == 1 {
					a.Reason = replay.ResponseTooLong
				}
				return a
			},
			"aws@101ms aws@302ms | 200 2 upstream",
		},
		{
			"an attempt that can't be made", `{"retry":{` + driver + `,"max_attempts":3}}`,
			func(n int) request.AttemptResult {
				if n == 0 {
					return fails(503)(0)
				}
				return request.AttemptResult{Reason: replay.TooManyAttempts}
			},
			"aws@101ms | first response upstream upstream_failure RetryExhausted",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := requesttest.Start(t, test.rules)
			r, step, sent := attempt(p, test.upstream)
			got := responseSummary(step)
			if len(sent) > 0 {
				got = strings.Join(sent, " ") + " | " + got
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			r.End(-1, p.Now)
			r.Gone(up, 0, p.Now)
			if r.Unsettled() {
				t.Error("after Gone: got an open request, want none")
			}
		})
	}
}

// TestEachAttemptIsAnOutcome: the breaker counts each attempt, and each retry is an event.
func TestEachAttemptIsAnOutcome(t *testing.T) {
	p := requesttest.Start(t, `{"retry":{"driver":"filter","jitter":false},"circuit_breaker":{"failure_threshold":3}}`)
	attempt(p, fails(503))
	want := []string{
		"decided allowed",
		"retry 1 of 2 to aws after 1s: status 503",
		"retry 2 of 2 to aws after 2s: status 503",
		"closed -> open: consecutive_failures, status 503",
		"retries exhausted",
		"response from upstream",
	}
	if diff := cmp.Diff(want, p.Observer.Events); diff != "" {
		t.Errorf("events: want (-), got (+):\n%s", diff)
	}
}

// TestProbesAreNotRetried: a probe has one attempt, and a retry never becomes a probe.
func TestProbesAreNotRetried(t *testing.T) {
	p := requesttest.Start(t, `{"retry":{"driver":"filter","jitter":false},"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"1s"}}`)
	if _, _, sent := attempt(p, fails(503)); len(sent) != 0 {
		t.Errorf("after the breaker opened: got %v sent, want none", sent) // the recovery timeout ends when the retry is due
	}
	p.Now += 1000 * ms
	if _, _, sent := attempt(p, fails(503)); len(sent) != 0 {
		t.Errorf("after a failed probe: got %v sent, want none", sent)
	}
	p.Now += 1000 * ms
	if _, step, sent := attempt(p, failsBefore(0, 503)); step.Kind != request.Continue || len(sent) != 0 {
		t.Errorf("the next probe: got step %v and %v sent, want Continue and none", step.Kind, sent)
	}
}

// TestClientLeavesDuringRetries: what a request holds is returned when its client leaves, whatever it waits for.
func TestClientLeavesDuringRetries(t *testing.T) {
	const rules = `{"retry":{"driver":"filter","jitter":false,"base_delay":"10ms"},"bulkhead":{"max_concurrent":1},"circuit_breaker":{}}`
	for _, during := range []string{"backoff", "an attempt"} {
		t.Run(during, func(t *testing.T) {
			p := requesttest.Start(t, rules)
			r, _ := p.Begin(incoming(p, "GET"))
			step := r.Respond(&request.Response{Status: 503, Details: up, GRPC: -1, Replayable: true}, p.Now)
			if step.Kind != request.HoldResponse {
				t.Fatalf("response: got step %v, want HoldResponse", step.Kind)
			}
			if during == "an attempt" {
				p.Now += 10 * ms
				if step := r.Due(nil, p.Now); step.Kind != request.SendAttempt {
					t.Fatalf("retry due: got step %v, want SendAttempt", step.Kind)
				}
				if _, step := p.Begin(incoming(p, "GET")); step.Kind != request.SendReply {
					t.Fatalf("another request during the attempt: got step %v, want SendReply", step.Kind)
				}
			}
			r.Gone(requesttest.ClientLeft, 0, p.Now)
			if r.Unsettled() {
				t.Error("after Gone: got an open request, want none")
			}
			if _, step := p.Begin(incoming(p, "GET")); step.Kind != request.Continue {
				t.Errorf("another request afterwards: got step %v, want Continue", step.Kind)
			}
		})
	}
}

// TestRetriesFailOver: with failover each retry goes to the next cluster whose breaker is closed.
func TestRetriesFailOver(t *testing.T) {
	r := startRegions(t, `{"clusters":{
		"aws":{"retry":{"driver":"filter","jitter":false,"base_delay":"100ms","max_attempts":6},"failover":{"to":["eu","us"]}},
		"eu":{"rate_limit":{"requests":1,"key":["path"]}},
		"us":{"circuit_breaker":{"failure_threshold":1},"rate_limit":{"requests":100}}}}`)
	keyed := 0
	key := func(c *request.Cluster) sharedstate.Fingerprint {
		keyed++
		if c.Name() != "eu" {
			t.Errorf("got a key asked for %s, want for eu only", c.Name())
		}
		return sharedstate.Fingerprint{Lo: 1}
	}
	req := &request.Request{}
	req.Begin(r.clusters["aws"], &request.Incoming{Retry: true}, r.Now)
	step := req.Respond(&request.Response{Status: 503, Details: up, GRPC: -1, Replayable: true}, r.Now)
	var sent []string
	for step.Kind == request.HoldResponse {
		r.Now, _ = req.DueAt()
		if step = req.Due(key, r.Now); step.Kind == request.SendAttempt {
			sent = append(sent, step.Send.Cluster)
			a := fails(503)(len(sent))
			step = req.AttemptEnded(&a, r.Now)
		}
	}
	// eu, us (whose breaker opens), aws, then eu again, whose limit refuses.
	if want := []string{"eu", "us", "aws"}; !slices.Equal(sent, want) || keyed != 2 {
		t.Errorf("got retries to %v with %d keys, want %v with 2", sent, keyed, want)
	}
	if got, want := responseSummary(step), "503 3 upstream upstream_failure RetryExhausted"; got != want {
		t.Errorf("got response %s, want %s", got, want)
	}
	if got := r.send("us", 200); got != "us circuit_open" {
		t.Errorf("a request to us after its failed attempt: got %s, want us circuit_open", got)
	}
}

// TestResponseToARetryIsKept: the cache keeps it like one to the first attempt.
func TestResponseToARetryIsKept(t *testing.T) {
	p := requesttest.Start(t, `{"retry":{"driver":"filter","jitter":false},"fallback":{"enable_default_fallback":false}}`)
	r := &request.Request{}
	key := p.Cluster.Cache().Key(requesttest.Headers{{":method", "GET"}, {":scheme", "http"}, {":authority", "aws"}, {":path", "/a"}}, true, &requesttest.Surroundings{})
	r.Begin(p.Cluster, &request.Incoming{Retry: true, Cache: key}, p.Now)
	r.Respond(&request.Response{Status: 503, Details: up, GRPC: -1, Replayable: true}, p.Now)
	p.Now, _ = r.DueAt()
	r.Due(nil, p.Now)
	a := request.AttemptResult{Details: up, Status: 200, Body: []byte("kept")}
	if step := r.AttemptEnded(&a, p.Now); step.Kind != request.SendReply || !r.MayKeep() {
		t.Fatalf("got step %v, may keep %v; want SendReply, true", step.Kind, r.MayKeep())
	}
	r.Keep(requesttest.Headers{{":status", "200"}, {"content-length", "4"}}, false, p.Now, 1_800_000_000)
	r.Body(a.Body)
	r.End(-1, p.Now)
	if step := run(p, exchange{path: "/a", status: 503}); string(requesttest.Reply(step).Body) != "kept" {
		t.Errorf("when upstream fails: got %s, want the body kept", summary(step))
	}
}

// TestUncarriedIsReported: a retry that the policy would make, and Weir can't, is reported with its reason, once.
func TestUncarriedIsReported(t *testing.T) {
	const rules = `{"retry":{"driver":"filter","via":"v","budget":{"min_per_second":1000}}}`
	for _, test := range []struct {
		name     string
		in       request.Incoming
		response request.Response
		want     string
	}{
		{"too long", request.Incoming{Retry: true}, request.Response{Status: 503, Unsent: replay.RequestTooLong}, "uncarried: request_too_long"},
		{"by its content-length", request.Incoming{Retry: true, Long: true}, request.Response{Status: 503}, "uncarried: request_too_long"},
		{"an upgrade", request.Incoming{Retry: true, Upgrade: true}, request.Response{Status: 503}, "uncarried: upgrade"},
		{"CONNECT", request.Incoming{Retry: true, Upgrade: true, Connect: true}, request.Response{Status: 503}, "uncarried: connect"},
		{"gRPC", request.Incoming{Retry: true, GRPC: true}, request.Response{Status: 503}, "uncarried: grpc"},
		{"metadata", request.Incoming{Retry: true}, request.Response{Status: 503, Unsent: replay.Metadata}, "uncarried: metadata"},
		{"another method", request.Incoming{}, request.Response{Status: 503, Unsent: replay.Dropped}, ""},
		{"a good response", request.Incoming{Retry: true, Upgrade: true}, request.Response{Status: 200}, ""},
		{"not retried", request.Incoming{Retry: true, Upgrade: true}, request.Response{Status: 404}, ""},
		{"it can be sent again", request.Incoming{Retry: true}, request.Response{Status: 503, Replayable: true}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := requesttest.Start(t, rules)
			var r request.Request
			r.Begin(p.Cluster, &test.in, p.Now)
			test.response.Details, test.response.GRPC = up, -1
			r.Respond(&test.response, p.Now)
			if got := strings.Join(p.Observer.Matching("uncarried"), " "); got != test.want {
				t.Errorf("Respond(%+v) after Begin(%+v): got %q, want %q", test.response, test.in, got, test.want)
			}
		})
	}
	p := requesttest.Start(t, rules)
	attempt(p, func(n int) request.AttemptResult {
		if n == 0 {
			return request.AttemptResult{Details: up, Status: 503}
		}
		return request.AttemptResult{Details: "rbac_access_denied_matched_policy[none]", Status: 403}
	})
	if got := strings.Join(p.Observer.Matching("uncarried"), " "); got != "uncarried: local_answer" {
		t.Errorf("another filter answers the attempt: got %q, want uncarried: local_answer", got)
	}
}

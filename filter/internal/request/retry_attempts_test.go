package request_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/sharedstate"
)

// TestWhichRequestsAreRecorded: only a request that the filter may send again is copied.
func TestWhichRequestsAreRecorded(t *testing.T) {
	const byFilter = `{"retry":{"driver":"filter"}}`
	tests := []struct {
		name, rules string
		in          request.Incoming
		want        bool
	}{
		{"a listed method", byFilter, request.Incoming{Retry: true}, true},
		{"another method", byFilter, request.Incoming{}, false},
		{"gRPC", byFilter, request.Incoming{Retry: true, GRPC: true}, false},
		{"an upgrade", byFilter, request.Incoming{Retry: true, Upgrade: true}, false},
		{"a long body", byFilter, request.Incoming{Retry: true, Long: true}, false},
		{"driver envoy", `{"retry":{"driver":"envoy"}}`, request.Incoming{Retry: true}, false},
		{"max_attempts 1", `{"retry":{"driver":"filter","max_attempts":1}}`, request.Incoming{Retry: true}, false},
		{"no retries", `{"rate_limit":{"requests":9}}`, request.Incoming{Retry: true}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := requesttest.Start(t, test.rules)
			if r, _ := p.Begin(test.in); r.Records() != test.want {
				t.Errorf("Records() = %v, want %v", r.Records(), test.want)
			}
		})
	}
}

// TestProbesAreNotRecorded: a probe is sent once, so no copy of it is made.
func TestProbesAreNotRecorded(t *testing.T) {
	p := requesttest.Start(t, `{"retry":{"driver":"filter"},"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"1s"}}`)
	p.RoundTrip(up, 503)
	p.Now += 1000 * ms
	if r, step := p.Begin(incoming(p, "GET")); step.Kind != request.Continue || r.Records() {
		t.Errorf("a probe: got step %v and Records() = %v, want Continue and false", step.Kind, r.Records())
	}
}

// holdFirst begins a request whose first response is held back, at p.Now, until its first retry is due.
func holdFirst(p *requesttest.Proxy) (r *request.Request, due int64) {
	p.Helper()
	r, _ = p.Begin(incoming(p, "GET"))
	step := r.Respond(&request.Response{Status: 503, Details: up, GRPC: -1, Replayable: r.Records()}, p.Now)
	if step.Kind != request.HoldResponse {
		p.Fatalf("a failed first response: got step %v, want HoldResponse", step.Kind)
	}
	due, _ = r.DueAt()
	return r, due
}

// TestNothingIsHeldWithoutBudget: a response is not delayed for a retry that the budget would refuse.
func TestNothingIsHeldWithoutBudget(t *testing.T) {
	p := requesttest.Start(t, `{"retry":{"driver":"filter","budget":{"percent":0,"min_per_second":0}}}`)
	r, _ := p.Begin(incoming(p, "GET"))
	step := r.Respond(&request.Response{Status: 503, Details: up, GRPC: -1, Replayable: r.Records()}, p.Now)
	if step.Kind != request.Continue || responseSummary(step) != "first response upstream upstream_failure RetryExhausted" {
		t.Errorf("got step %v with %q, want Continue with RetryExhausted", step.Kind, responseSummary(step))
	}
}

// TestLaterAttemptsAreNoRequests: the budget is a share of the requests, not of their attempts: at 100 percent one
// request gets one retry, whatever max_attempts is.
func TestLaterAttemptsAreNoRequests(t *testing.T) {
	p := requesttest.Start(t, `{"retry":{"driver":"filter","max_attempts":5,"budget":{"percent":100,"min_per_second":0}}}`)
	if _, _, sent := attempt(p, fails(503)); len(sent) != 1 {
		t.Errorf("got retries %v, want one", sent)
	}
}

// TestBudgetTakenMeanwhile: two requests wait while the budget has one retry. The first takes it; the second gives up,
// and keeps no place of the bulkhead.
func TestBudgetTakenMeanwhile(t *testing.T) {
	p := requesttest.Start(t, `{"retry":{"driver":"filter","jitter":false,"base_delay":"10ms","budget":{"percent":0,"min_per_second":0.1}},
		"bulkhead":{"max_concurrent":1}}`)
	first, _ := holdFirst(p)
	second, due := holdFirst(p)
	p.Now = due
	if step := first.Due(nil, p.Now); step.Kind != request.SendAttempt {
		t.Fatalf("the first request: got step %v, want SendAttempt", step.Kind)
	}
	ok := fails(200)(1)
	first.AttemptEnded(&ok, p.Now)
	step := second.Due(nil, p.Now)
	if got, want := responseSummary(step), "first response upstream upstream_failure RetryExhausted"; step.Kind != request.Continue || got != want {
		t.Errorf("the second request: got step %v with %q, want Continue with %q", step.Kind, got, want)
	}
	if _, step := p.Begin(incoming(p, "GET")); step.Kind != request.Continue {
		t.Errorf("a third request: got step %v, want Continue: the bulkhead is free", step.Kind)
	}
}

// hookedStore calls before in front of its n-th Get from now.
type hookedStore struct {
	*sharedstate.Memory
	n      int
	before func()
}

func (s *hookedStore) Get(key string) ([]byte, uint32, error) {
	if s.n--; s.n == 0 {
		s.before()
	}
	return s.Memory.Get(key)
}

// TestRetryIsNoProbe: another worker's breaker opens, and its recovery timeout is over, between the look at the breaker
// and the admission of a retry. The retry is not sent, and the place for a probe is free for the next request.
func TestRetryIsNoProbe(t *testing.T) {
	const breaker = `"circuit_breaker":{"failure_threshold":%d,"recovery_timeout":"1s","half_open_max_calls":1}`
	memory := sharedstate.NewMemory()
	store := &hookedStore{Memory: memory}
	p := requesttest.StartOn(t, fmt.Sprintf(`{"retry":{"driver":"filter","jitter":false,"base_delay":"3s"},`+breaker+`}`, 9), store)
	other := requesttest.StartOn(t, fmt.Sprintf(`{`+breaker+`}`, 1), memory)
	r, due := holdFirst(p)
	p.Now = due
	store.n, store.before = 1, func() { // the look at the breaker gets nothing: the record was kept
		other.Now = p.Now - 1000*ms
		other.RoundTrip(up, 503)
	}
	step := r.Due(nil, p.Now)
	if got, want := responseSummary(step), "first response upstream upstream_failure RetryExhausted"; step.Kind != request.Continue || got != want {
		t.Errorf("the retry: got step %v with %q, want Continue with %q", step.Kind, got, want)
	}
	if len(other.Observer.Transitions()) != 1 {
		t.Fatalf("got transitions %v by the other worker, want one: the breaker opens", other.Observer.Transitions())
	}
	for i, want := range []request.Kind{request.Continue, request.SendReply} {
		if _, step := p.Begin(request.Incoming{}); step.Kind != want {
			t.Errorf("request %d afterwards: got step %v, want %v: one place for a probe", i, step.Kind, want)
		}
	}
}

// TestTimeoutOfARetry: per_try_timeout, but no more than what is left of the breaker's timeout, else 15 s.
func TestTimeoutOfARetry(t *testing.T) {
	tests := []struct {
		rules string // of the retry, and other sections
		want  time.Duration
	}{
		{`}`, 15 * time.Second},
		{`,"per_try_timeout":"2s"}`, 2 * time.Second},
		{`},"circuit_breaker":{"timeout":"700ms"}`, 600 * time.Millisecond}, // 100 ms went by before the retry
		{`,"per_try_timeout":"2s"},"circuit_breaker":{"timeout":"700ms"}`, 600 * time.Millisecond},
		{`,"per_try_timeout":"300ms"},"circuit_breaker":{"timeout":"700ms"}`, 300 * time.Millisecond},
	}
	for _, test := range tests {
		p := requesttest.Start(t, `{"retry":{"driver":"filter","jitter":false,"base_delay":"100ms"`+test.rules+`}`)
		r, due := holdFirst(p)
		p.Now = due
		step := r.Due(nil, p.Now)
		if step.Kind != request.SendAttempt || step.Send.Timeout != test.want {
			t.Errorf("%s: got step %v with %+v, want SendAttempt with a timeout of %v", test.rules, step.Kind, step.Send, test.want)
		}
	}
}

// TestRetryAfterOfALaterAttempt: each failed response may ask for its own delay, not only the first one.
func TestRetryAfterOfALaterAttempt(t *testing.T) {
	p := requesttest.Start(t, `{"retry":{"driver":"filter","jitter":false,"base_delay":"100ms"}}`)
	_, _, sent := attempt(p, func(n int) request.AttemptResult {
		a := fails(503)(n)
		a.RetryAfter = time.Duration(n) * time.Second
		return a
	})
	if want := []string{"aws@101ms", "aws@1.102s"}; !slices.Equal(sent, want) {
		t.Errorf("got retries %v, want %v", sent, want)
	}
}

// TestHeldResponseIsACopy: the memory of a failed response is the host's and is gone when the callback returns; a held
// response is intact all the same. Its headers count towards max_body_bytes.
func TestHeldResponseIsACopy(t *testing.T) {
	for most, want := range map[int]string{14: "503 1", 13: "first response"} { // x-attempt: 1, body of 4 bytes
		p := requesttest.Start(t, fmt.Sprintf(`{"retry":{"driver":"filter","max_body_bytes":%d},"rate_limit":{"requests":2}}`, most))
		r, due := holdFirst(p)
		p.Now = due
		r.Due(nil, p.Now)
		host := []byte("x-attempt1body")
		text := func(from, to int) string { return unsafe.String(&host[from], to-from) }
		a := request.AttemptResult{Details: up, Status: 503, Headers: []header.Pair{{text(0, 9), text(9, 10)}}, Body: host[10:]}
		if step := r.AttemptEnded(&a, p.Now); step.Kind != request.HoldResponse {
			t.Fatalf("a failed retry: got step %v, want HoldResponse", step.Kind)
		}
		clear(host)
		p.Now, _ = r.DueAt()
		step := r.Due(nil, p.Now) // the limit refuses
		if got := responseSummary(step); !strings.HasPrefix(got, want+" upstream") {
			t.Errorf("max_body_bytes %d: got %q, want %s", most, got, want)
		}
		if step.Reply != nil && string(step.Reply.Body) != "body" {
			t.Errorf("max_body_bytes %d: got body %q, want body", most, step.Reply.Body)
		}
	}
}

// TestGivingUpIsExhausted: a retry that was wanted and refused marks the response and is an event, also before the first
// one was sent.
func TestGivingUpIsExhausted(t *testing.T) {
	for _, rules := range []string{
		`"circuit_breaker":{"failure_threshold":1}`,
		`"rate_limit":{"requests":1}`,
		`"rate_limit":{"requests":1,"key":["path"]}`,
	} {
		p := requesttest.Start(t, `{"retry":{"driver":"filter"},`+rules+`}`)
		_, step, sent := attempt(p, fails(503))
		if got, want := responseSummary(step), "first response upstream upstream_failure RetryExhausted"; got != want || len(sent) > 0 {
			t.Errorf("%s: got %q after retries %v, want %q and none", rules, got, sent, want)
		}
		if got := p.Observer.Matching("exhausted"); len(got) != 1 {
			t.Errorf("%s: got events %q, want one of exhausted retries", rules, got)
		}
	}
}

// TestRouterRetriesAreCapped: the router can't have made more of the filter's retries than it was granted; further ones
// are another filter's or the route's.
func TestRouterRetriesAreCapped(t *testing.T) {
	p := requesttest.Start(t, `{"retry":{}}`)
	r, _ := p.Begin(incoming(p, "GET"))
	respond(p, r, 200, 9)
	if got := p.Observer.Matching("retry"); len(got) != 2 {
		t.Errorf("9 attempts where 2 retries were granted: got events %q, want 2", got)
	}
}

// retryInto sends a request to aws that fails, and says where its first retry goes, "" where it is not sent. Upstream
// responds to the retry with this status, after it took so many milliseconds.
func (r *regions) retryInto(status int, took int64) string {
	r.Helper()
	req := &request.Request{}
	req.Begin(r.clusters["aws"], &request.Incoming{Retry: true}, r.Now)
	if step := req.Respond(&request.Response{Status: 503, Details: up, GRPC: -1, Replayable: true}, r.Now); step.Kind != request.HoldResponse {
		r.Fatalf("a failed first response: got step %v, want HoldResponse", step.Kind)
	}
	r.Now, _ = req.DueAt()
	step := req.Due(func(*request.Cluster) sharedstate.Fingerprint { return sharedstate.Fingerprint{} }, r.Now)
	if step.Kind != request.SendAttempt {
		return ""
	}
	r.Now += took * ms
	a := fails(status)(1)
	req.AttemptEnded(&a, r.Now)
	return step.Send.Cluster
}

// TestRetriesPassOverRegions: a retry does not go where the breaker is not closed, and is never a region's probe.
func TestRetriesPassOverRegions(t *testing.T) {
	const document = `{"clusters":{
		"aws":{"retry":{"driver":"filter","jitter":false,"base_delay":"10ms","via":"elsewhere"},"failover":{"to":["eu","us"]}},
		"eu":{"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"10s","half_open_max_calls":2,"success_threshold":2}}}}`
	tests := []struct {
		name   string
		before func(r *regions)
		want   string
	}{
		{"eu closed", func(*regions) {}, "eu"},
		{"eu open", func(r *regions) { r.send("eu", 503) }, "us"},
		{"eu's recovery timeout over", func(r *regions) { r.send("eu", 503); r.Now += 10_000 * ms }, "us"},
		{"eu half-open", func(r *regions) { r.send("eu", 503); r.Now += 10_000 * ms; r.send("eu", 200) }, "us"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := startRegions(t, document)
			test.before(r)
			if got := r.retryInto(200, 1); got != test.want {
				t.Errorf("got a retry to %q, want to %q", got, test.want)
			}
		})
	}
}

// TestLateRetryIsAFailure: a retry that another region answers later than that region's timeout fails there.
func TestLateRetryIsAFailure(t *testing.T) {
	for took, want := range map[int64]string{50: "eu", 51: "eu circuit_open"} {
		r := startRegions(t, `{"clusters":{
			"aws":{"retry":{"driver":"filter","jitter":false},"failover":{"to":["eu"]}},
			"eu":{"circuit_breaker":{"failure_threshold":1,"timeout":"50ms"}}}}`)
		if got := r.retryInto(200, took); got != "eu" {
			t.Fatalf("got a retry to %q, want to eu", got)
		}
		if got := r.send("eu", 200); got != want {
			t.Errorf("a request after a retry that took %d ms: got %s, want %s", took, got, want)
		}
	}
}

// TestRetryIntoShadow: what a region in shadow would refuse does not stop a retry.
func TestRetryIntoShadow(t *testing.T) {
	r := startRegions(t, `{"clusters":{
		"aws":{"retry":{"driver":"filter","jitter":false},"failover":{"to":["eu"]}},
		"eu":{"mode":"shadow","rate_limit":{"requests":1}}}}`)
	r.send("eu", 200)
	if got := r.retryInto(200, 1); got != "eu" {
		t.Errorf("got a retry to %q, want to eu", got)
	}
}

// TestRetryAtHomeKeepsItsKey: a retry that comes back from another region counts under the request's own key.
func TestRetryAtHomeKeepsItsKey(t *testing.T) {
	r := startRegions(t, `{"clusters":{
		"aws":{"retry":{"driver":"filter","jitter":false,"base_delay":"1ms"},"rate_limit":{"requests":2,"key":["path"]},"failover":{"to":["eu"]}},
		"eu":{"rate_limit":{"requests":9,"key":["method"]}}}}`)
	key := func(n uint64) sharedstate.Fingerprint { return sharedstate.Fingerprint{Lo: n} }
	send := func(in request.Incoming) (sent []string) {
		req := &request.Request{}
		step := req.Begin(r.clusters["aws"], &in, r.Now)
		if step.Kind != request.Continue {
			return []string{"refused"}
		}
		step = req.Respond(&request.Response{Status: 503, Details: up, GRPC: -1, Replayable: in.Retry}, r.Now)
		for step.Kind == request.HoldResponse {
			r.Now, _ = req.DueAt()
			step = req.Due(func(*request.Cluster) sharedstate.Fingerprint { return key(7) }, r.Now) // of eu
			if step.Kind == request.SendAttempt {
				sent = append(sent, step.Send.Cluster)
				a := fails(503)(len(sent))
				step = req.AttemptEnded(&a, r.Now)
			}
		}
		return sent
	}
	if got := send(request.Incoming{Retry: true, Key: key(1)}); len(got) != 2 || got[1] != "aws" {
		t.Fatalf("got retries to %v, want to eu and aws", got)
	}
	if got := send(request.Incoming{Key: key(1)}); len(got) != 1 {
		t.Errorf("a third attempt under the key in aws, whose limit is 2: got it admitted with retries %v, want refused", got)
	}
}

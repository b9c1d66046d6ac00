package request_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate"
)

const ms = int64(time.Millisecond)

// record is an Observer that keeps a line for each event.
type record struct {
	events []string
	why    string // the last decision
}

func (r *record) add(format string, args ...any) {
	r.events = append(r.events, fmt.Sprintf(format, args...))
}

func (r *record) Decided(reason fallback.Reason, shadow bool) {
	if shadow {
		r.add("in shadow")
	}
	r.add("decided %v", reason)
}
func (r *record) Explains() bool                                     { return true }
func (r *record) Explain(text string)                                { r.why = text }
func (r *record) Answered(source fallback.Source, _ fallback.Reason) { r.add("answered %v", source) }

func (r *record) Transition(from, to breaker.Status, cause string) {
	r.add("%v -> %v: %s", from, to, cause)
}

func (r *record) Retried(t flow.Retry) {
	if t.ByRouter {
		r.add("retry %d of %d by the router", t.Number, t.Of)
		return
	}
	r.add("retry %d of %d to %s after %v: %s", t.Number, t.Of, t.Cluster, t.Delay, t.Cause)
}
func (r *record) Exhausted()           { r.add("retries exhausted") }
func (r *record) FailedOver(to string) { r.add("failed over to %s", to) }

func (r *record) Conflicts(n int) {
	if n > 0 {
		r.add("%d conflicts", n)
	}
}
func (r *record) Fault(err error) { r.add("fault %v", err) }

// transitions are the events that tell of the breaker.
func (r *record) transitions() []string {
	var got []string
	for _, e := range r.events {
		if strings.Contains(e, " -> ") {
			got = append(got, e)
		}
	}
	return got
}

// proxy is what a worker holds for one cluster.
type proxy struct {
	*testing.T
	worker *flow.Worker
	plan   *request.Cluster
	seen   *record
	now    int64
}

func start(t *testing.T, rules string) *requesttest.Proxy {
	return requesttest.StartOn(t, rules, sharedstate.NewMemory())
}

func startOn(t *testing.T, rules string, store sharedstate.Store) *requesttest.Proxy {
	t.Helper()
	document, err := policy.Decode([]byte(`{"clusters":{"aws":`+rules+`}}`), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	seen := &record{}
	worker, err := flow.NewWorker(store, [16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	return &proxy{t, worker, flow.NewPlan("aws", document.For("aws"), worker, nil, seen), seen, int64(time.Hour)}
}

func (p *requesttest.Proxy) begin(r request.Incoming) (*request.Request, request.Step) {
	x := &request.Request{}
	return x, x.Begin(p.Cluster, r, p.Now)
}

// ask sends one request through; upstream answers at once with details and status, and its body ends.
func (p *requesttest.Proxy) ask(details string, status int) request.Step {
	x, step := p.Begin(request.Incoming{})
	if step.Kind == request.SendReply {
		return step
	}
	step = x.Respond(&request.Response{Status: status, Details: details, GRPC: -1}, p.Now)
	x.End(-1, p.Now)
	x.Gone(details, 0, p.Now)
	return step
}

func requesttest.Header(headers []header.Pair, name string) string {
	var values []string
	for _, h := range headers {
		if h[0] == name {
			values = append(values, h[1])
		}
	}
	return strings.Join(values, ", ")
}

func TestLimitRefusesWithEverythingThatSPECNames(t *testing.T) {
	p := requesttest.Start(t, `{"rate_limit":{"algorithm":"token_bucket","burst_capacity":2,"refill_rate":0.5}}`)
	for range 2 {
		if step := p.RoundTrip(up, 200); step.Kind != request.Continue || requesttest.Header(step.Set, "x-weir-source") != "upstream" {
			t.Fatalf("within the limit: %+v", step)
		}
	}
	step := p.RoundTrip(up, 200)
	want := localreply.Reply{
		Status: 429, GRPC: -1, Details: "weir_rate_limited",
		Headers: []header.Pair{
			{"content-type", "application/problem+json"},
			{"x-weir-source", "error"},
			{"x-weir-reason", "rate_limited"},
			{"retry-after", "2"},
			{"x-envoy-ratelimited", "true"},
			{"ratelimit-policy", `"aws";q=2;w=4`},
			{"ratelimit", `"aws";r=0;t=4`},
			{"x-ratelimit-limit", "2"},
			{"x-ratelimit-remaining", "0"},
			{"x-ratelimit-reset", "4"},
		},
	}
	body := step.Reply.Body
	step.Reply.Body = nil
	if diff := cmp.Diff(want, step.Reply); diff != "" || step.Kind != request.SendReply {
		t.Error(diff)
	}
	var problem map[string]any
	if err := json.Unmarshal(body, &problem); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if diff := cmp.Diff(map[string]any{
		"type": "https://github.com/weir-mesh/weir#RateLimitExceeded", "title": "RateLimitExceeded", "status": 429.0,
		"detail": "rate limit exceeded for aws", "data": nil, "source": "error", "fallback_used": false,
		"degraded_mode": false, "warnings": []any{}, "error": "rate limit exceeded for aws", "retry_after": 2.0,
	}, problem); diff != "" {
		t.Error(diff)
	}
	if got := p.Observer.Events; !slices.Contains(got, "decided rate_limited") || !slices.Contains(got, "response from error") {
		t.Errorf("events: %q", got)
	}
	p.Now += 2000 * ms
	if step := p.RoundTrip(up, 200); step.Kind != request.Continue {
		t.Errorf("after Retry-After: %+v", step)
	}
}

func TestRateLimitHeadersModes(t *testing.T) {
	for _, tc := range []struct {
		mode             string
		allowed, refused string
	}{
		{"all", `"aws";r=0;t=1`, `"aws";r=0;t=1`},
		{"refused", "", `"aws";r=0;t=1`},
		{"none", "", ""},
	} {
		p := requesttest.Start(t, `{"rate_limit":{"algorithm":"token_bucket","burst_capacity":1,"refill_rate":1,"headers":"`+tc.mode+`"}}`)
		if got := requesttest.Header(p.RoundTrip(up, 200).Set, "ratelimit"); got != tc.allowed {
			t.Errorf("%s, allowed: %q, want %q", tc.mode, got, tc.allowed)
		}
		refused := p.RoundTrip(up, 200).Reply
		if got := requesttest.Header(refused.Headers, "ratelimit"); got != tc.refused {
			t.Errorf("%s, refused: %q, want %q", tc.mode, got, tc.refused)
		}
		if got := requesttest.Header(refused.Headers, "retry-after"); got != "1" {
			t.Errorf("%s: Retry-After %q", tc.mode, got)
		}
	}
}

const chain = `{"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"10s"},
	"fallback":{"enable_cache_fallback":false,"degraded":{"limitations":["prices may be missing"]}%s}}`

func TestFallbackChain(t *testing.T) {
	const data = `,"default_data":{"status":203,"headers":{"x-a":"b"},"body":{"services":[]}}`
	for _, tc := range []struct {
		name, rules string
		status      int
		source      string
		body        string
	}{
		{"default data", data, 203, "default", `{"services":[]}`},
		{"default switched off", data + `,"enable_default_fallback":false`, 503, "degraded", `"warnings":["prices may be missing"]`},
		{"no default data", "", 503, "degraded", `"degraded_mode":true`},
		{"not for this reason", data + `,"continue":["rate_limited"]`, 503, "error", `"warnings":[]`},
		{"all off", `,"enable_degraded_mode":false`, 503, "error", `"warnings":["FallbackError: no fallback had an answer"]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := requesttest.Start(t, fmt.Sprintf(chain, tc.rules))
			first := p.RoundTrip(up, 500) // upstream fails, and the breaker opens
			for reason, step := range map[string]request.Step{"upstream_failure": first, "circuit_open": p.RoundTrip(up, 200)} {
				if tc.source == "error" && reason == "upstream_failure" {
					if step.Kind != request.Continue || requesttest.Header(step.Set, "x-weir-source") != "upstream" || requesttest.Header(step.Set, "x-weir-reason") != reason {
						t.Errorf("upstream's own answer must pass, with its reason: %+v", step)
					}
					continue
				}
				r := step.Reply
				if step.Kind != request.SendReply || r.Status != tc.status || requesttest.Header(r.Headers, "x-weir-source") != tc.source ||
					requesttest.Header(r.Headers, "x-weir-reason") != reason || !strings.Contains(string(r.Body), tc.body) {
					t.Errorf("%s: got %+v %s", reason, r, r.Body)
				}
				used, degraded := "", ""
				if tc.source != "error" {
					used = "true"
				}
				if tc.source == "degraded" {
					degraded = "true"
				}
				if requesttest.Header(r.Headers, "x-weir-fallback-used") != used || requesttest.Header(r.Headers, "x-weir-degraded-mode") != degraded {
					t.Errorf("%s: marks of %+v", reason, r.Headers)
				}
				if tc.source == "default" && requesttest.Header(r.Headers, "x-a") != "b" {
					t.Errorf("the default's own headers: %+v", r.Headers)
				}
				if reason == "circuit_open" && tc.source != "default" && requesttest.Header(r.Headers, "retry-after") != "10" {
					t.Errorf("Retry-After: %+v", r.Headers)
				}
			}
		})
	}
}

func TestGRPCRequestsGetGRPCAnswers(t *testing.T) {
	p := requesttest.Start(t, fmt.Sprintf(chain, `,"default_data":{"body":{}},"continue":["circuit_open","rate_limited"]`))
	p.RoundTrip(up, 500)
	_, step := p.Begin(request.Incoming{GRPC: true})
	if r := step.Reply; r.GRPC != 14 || string(r.Body) != "CircuitBreakerError" || requesttest.Header(r.Headers, "content-type") != "" {
		t.Errorf("open: %+v %s", r, r.Body)
	}
	p = requesttest.Start(t, `{"rate_limit":{"algorithm":"token_bucket","burst_capacity":1,"refill_rate":1}}`)
	p.RoundTrip(up, 200)
	_, step = p.Begin(request.Incoming{GRPC: true})
	if r := step.Reply; r.GRPC != 8 || string(r.Body) != "RateLimitExceeded" || requesttest.Header(r.Headers, "retry-after") != "1" {
		t.Errorf("limited: %+v %s", r, r.Body)
	}
}

func TestTimeoutIsToldToTheRouterWhereItIsWritten(t *testing.T) {
	for _, tc := range []struct {
		rules   string
		upgrade bool
		want    string
	}{
		{`{"circuit_breaker":{}}`, false, ""},
		{`{"circuit_breaker":{"timeout":"1500ms"}}`, false, "1500"},
		{`{"circuit_breaker":{"timeout":2}}`, false, "2000"},
		{`{"circuit_breaker":{"timeout":2}}`, true, ""},
	} {
		_, step := requesttest.Start(t, tc.rules).Begin(request.Incoming{Upgrade: tc.upgrade})
		if got := requesttest.Header(step.Set, "x-envoy-upstream-rq-timeout-ms"); got != tc.want {
			t.Errorf("%s, upgrade %v: %q, want %q", tc.rules, tc.upgrade, got, tc.want)
		}
	}
}

// TestProbes: after the wait the next request finds it half-open, no more probes run than allowed, and a limit that
// refuses takes no probe's place.
func TestProbes(t *testing.T) {
	p := requesttest.Start(t, `{"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"10s","success_threshold":2,"half_open_max_calls":2}}`)
	p.RoundTrip(up, 500)
	p.Now += 9999 * ms
	if step := p.RoundTrip(up, 200); requesttest.Header(step.Reply.Headers, "retry-after") != "1" {
		t.Fatalf("before the wait is over: %+v", step)
	}
	p.Now += ms
	first, step := p.Begin(request.Incoming{})
	second, step2 := p.Begin(request.Incoming{})
	if step.Kind != request.Continue || step2.Kind != request.Continue {
		t.Fatal("two probes may run")
	}
	if _, step := p.Begin(request.Incoming{}); step.Kind != request.SendReply {
		t.Fatal("a third may not")
	}
	first.Gone(requesttest.ClientLeft, 0, p.Now) // its client left: the place is free, nothing is known
	third, step := p.Begin(request.Incoming{})
	if step.Kind != request.Continue {
		t.Fatal("a probe's place did not come back")
	}
	for _, x := range []*request.Request{second, third} {
		x.Respond(&request.Response{Status: 200, Details: up, GRPC: -1, Ended: true}, p.Now)
	}
	want := []string{"closed -> open: consecutive_failures, status 500", "open -> half_open: recovery_timeout", "half_open -> closed: probes_succeeded, success"}
	if diff := cmp.Diff(want, p.Observer.Transitions()); diff != "" {
		t.Error(diff)
	}
}

func TestLimitThatRefusesTakesNoProbe(t *testing.T) {
	p := requesttest.Start(t, `{"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"1s"},
		"rate_limit":{"algorithm":"token_bucket","burst_capacity":1,"refill_rate":0.1}}`)
	p.RoundTrip(up, 500)
	p.Now += 1000 * ms
	if step := p.RoundTrip(up, 200); step.Reply.Status != 429 {
		t.Fatalf("the limit refuses first here: %+v", step)
	}
	if got := p.Observer.Transitions(); len(got) != 1 {
		t.Fatalf("a request that did not go on moved the breaker: %q", got)
	}
	p.Now += 9000 * ms
	if step := p.RoundTrip(up, 200); step.Kind != request.Continue {
		t.Fatalf("now it is the probe: %+v", step)
	}
}

// TestCallbacksInAnyOrderAnswerAndSettleOnce calls everything twice and late.
func TestCallbacksInAnyOrderAnswerAndSettleOnce(t *testing.T) {
	p := requesttest.Start(t, fmt.Sprintf(chain, `,"default_data":{"body":{}}`))
	x, _ := p.Begin(request.Incoming{})
	answers := 0
	for range 3 {
		if x.Respond(&request.Response{Status: 503, Details: up, GRPC: -1}, p.Now).Kind == request.SendReply {
			answers++
		}
		x.Respond(&request.Response{Status: 200, Details: "weir_upstream_failure", GRPC: -1}, p.Now) // our own reply, coming back
		x.End(-1, p.Now)
		x.Gone(up, 0, p.Now)
	}
	if answers != 1 || len(p.Observer.Transitions()) != 1 {
		t.Errorf("%d answers, transitions %q", answers, p.Observer.Transitions())
	}
	var zero request.Request
	zero.Respond(&request.Response{Status: 503, Details: up}, p.Now)
	zero.End(-1, p.Now)
	zero.Gone(up, 0, p.Now)
	if zero.Open() {
		t.Error("an exchange that never began is open")
	}
}

// onFire is a store that fails as soon as it is lit.
type onFire struct {
	*sharedstate.Memory
	lit bool
}

var errFire = errors.New("shared data on fire")

func (s *onFire) Get(key string) ([]byte, uint32, error) {
	if s.lit {
		return nil, 0, errFire
	}
	return s.Memory.Get(key)
}

func TestAFaultLetsTheRequestThroughAndIsCounted(t *testing.T) {
	for name, rules := range map[string]string{
		"all in one": `{"circuit_breaker":{},"bulkhead":{"max_concurrent":1},"rate_limit":{"algorithm":"token_bucket","headers":"all"}}`,
		"by key":     `{"rate_limit":{"requests":1,"key":["path"],"headers":"all"}}`,
	} {
		store := &onFire{Memory: sharedstate.NewMemory()}
		p := requesttest.StartOn(t, rules, store)
		store.lit = true
		for range 3 {
			step := p.RoundTrip(up, 500)
			if step.Kind != request.Continue || requesttest.Header(step.Set, "ratelimit") != "" {
				t.Errorf("%s: %+v", name, step)
			}
		}
		if !slices.Contains(p.Observer.Events, "fault shared data on fire") || !slices.Contains(p.Observer.Events, "decided allowed") {
			t.Errorf("%s: %q", name, p.Observer.Events)
		}
	}
}

func TestAnOrdinaryRequestAllocatesNothing(t *testing.T) {
	for name, rules := range map[string]string{
		"token bucket":    `{"circuit_breaker":{},"rate_limit":{"algorithm":"token_bucket","burst_capacity":1000000,"refill_rate":1000000}}`,
		"sliding window":  `{"circuit_breaker":{},"rate_limit":{"requests":1000000,"window_size":"1s"}}`,
		"adaptive":        `{"circuit_breaker":{},"rate_limit":{"algorithm":"adaptive","requests":1000000,"window_size":"1s"}}`,
		"bulkhead, rates": `{"circuit_breaker":{"failure_rate":{},"slow_calls":{}},"bulkhead":{"max_concurrent":10}}`,
	} {
		t.Run(name, func(t *testing.T) {
			plan, now := planOf(t, rules, requesttest.Discard{}), int64(time.Hour)
			x := &request.Request{}
			once := func() {
				*x = request.Request{}
				now += ms
				x.Begin(plan, &request.Incoming{}, now)
				x.Respond(&request.Response{Status: 200, Details: up, GRPC: -1}, now)
				x.End(-1, now)
			}
			once()
			if n := testing.AllocsPerRun(100, once); n > 0 {
				t.Errorf("%v allocations a request", n)
			}
		})
	}
}

func planOf(t testing.TB, rules string, observer flow.Observer) *request.Cluster {
	t.Helper()
	d, err := policy.Decode([]byte(`{"clusters":{"aws":`+rules+`}}`), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	worker, err := worker.New(&still{values: map[string][]byte{}}, [16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	return flow.NewPlan("aws", d.For("aws"), worker, nil, observer)
}

// still is a store for one worker, which allocates nothing once it has its keys.
type still struct{ values map[string][]byte }

func (s *still) Get(key string) ([]byte, uint32, error) {
	value, ok := s.values[key]
	if !ok {
		return nil, 0, sharedstate.ErrNotFound
	}
	return value, 1, nil
}

func (s *still) Set(key string, value []byte, _ uint32) error {
	s.values[key] = append(s.values[key][:0], value...)
	return nil
}

type silent struct{}

func (silent) Decided(fallback.Reason, bool)                     {}
func (silent) Answered(fallback.Source, fallback.Reason)         {}
func (silent) Explains() bool                                    { return false }
func (silent) Explain(string)                                    {}
func (silent) Transition(breaker.Status, breaker.Status, string) {}
func (silent) Conflicts(int)                                     {}
func (silent) Fault(error)                                       {}
func (silent) Retried(flow.Retry)                                {}
func (silent) Exhausted()                                        {}
func (silent) FailedOver(string)                                 {}

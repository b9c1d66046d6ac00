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

	"github.com/weir-mesh/weir/filter/internal/localreply"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/sharedstate"
)

const ms = int64(time.Millisecond)

func TestRateLimitRefusal(t *testing.T) {
	p := requesttest.Start(t, `{"rate_limit":{"algorithm":"token_bucket","burst_capacity":2,"refill_rate":0.5}}`)
	for range 2 {
		if step := p.RoundTrip(up, 200); step.Kind != request.Continue || requesttest.Header(step.Set, "x-weir-source") != "upstream" {
			t.Fatalf("within the limit: got %+v, want Continue with x-weir-source: upstream", step)
		}
	}
	step := p.RoundTrip(up, 200)
	if step.Kind != request.SendReply {
		t.Fatalf("above the limit: got %+v, want SendReply", step)
	}
	want := &localreply.Reply{
		Status: 429, GRPC: -1, Details: "weir_rate_limited",
		Headers: []header.Pair{
			{"content-type", "application/problem+json"},
			{"cache-control", "no-store"},
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
	if diff := cmp.Diff(want, step.Reply); diff != "" {
		t.Errorf("reply: want (-), got (+):\n%s", diff)
	}
	var problem map[string]any
	if err := json.Unmarshal(body, &problem); err != nil {
		t.Fatalf("got body %s (%v), want JSON", body, err)
	}
	if diff := cmp.Diff(map[string]any{
		"type": "https://github.com/weir-mesh/weir#RateLimitExceeded", "title": "RateLimitExceeded", "status": 429.0,
		"detail": "rate limit exceeded for aws", "data": nil, "source": "error", "fallback_used": false,
		"degraded_mode": false, "warnings": []any{}, "error": "rate limit exceeded for aws", "retry_after": 2.0,
	}, problem); diff != "" {
		t.Errorf("body: want (-), got (+):\n%s", diff)
	}
	for _, want := range []string{"decided rate_limited", "response from error"} {
		if got := p.Observer.Events; !slices.Contains(got, want) {
			t.Errorf("got events %q, want %q among them", got, want)
		}
	}
	p.Now += 2000 * ms
	if step := p.RoundTrip(up, 200); step.Kind != request.Continue {
		t.Errorf("after Retry-After: got %+v, want Continue", step)
	}
}

func TestRateLimitHeadersModes(t *testing.T) {
	for _, tc := range []struct{ mode, admitted, refused string }{
		{"all", `"aws";r=0;t=1`, `"aws";r=0;t=1`},
		{"refused", "", `"aws";r=0;t=1`},
		{"none", "", ""},
	} {
		p := requesttest.Start(t, `{"rate_limit":{"algorithm":"token_bucket","burst_capacity":1,"refill_rate":1,"headers":"`+tc.mode+`"}}`)
		if got := requesttest.Header(p.RoundTrip(up, 200).Set, "ratelimit"); got != tc.admitted {
			t.Errorf("%s, admitted: got ratelimit %q, want %q", tc.mode, got, tc.admitted)
		}
		refused := requesttest.Reply(p.RoundTrip(up, 200))
		if got := requesttest.Header(refused.Headers, "ratelimit"); got != tc.refused {
			t.Errorf("%s, refused: got ratelimit %q, want %q", tc.mode, got, tc.refused)
		}
		if got := requesttest.Header(refused.Headers, "retry-after"); got != "1" {
			t.Errorf("%s, refused: got retry-after %q, want 1", tc.mode, got)
		}
	}
}

const fallbackChain = `{"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"10s"},
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
		{"default data disabled", data + `,"enable_default_fallback":false`, 503, "degraded", `"warnings":["prices may be missing"]`},
		{"no default data", "", 503, "degraded", `"degraded_mode":true`},
		{"reason not listed", data + `,"on":["rate_limited"]`, 503, "error", `"warnings":[]`},
		{"all disabled", `,"enable_degraded_mode":false`, 503, "error", `"warnings":["FallbackError: no fallback had an answer"]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := requesttest.Start(t, fmt.Sprintf(fallbackChain, tc.rules))
			failed := p.RoundTrip(up, 500) // and the breaker opens
			for reason, step := range map[string]request.Step{"upstream_failure": failed, "circuit_open": p.RoundTrip(up, 200)} {
				if tc.source == "error" && reason == "upstream_failure" {
					source, gotReason := requesttest.Header(step.Set, "x-weir-source"), requesttest.Header(step.Set, "x-weir-reason")
					if step.Kind != request.Continue || source != "upstream" || gotReason != reason {
						t.Errorf("got %+v, want upstream's own response with x-weir-reason: %s", step, reason)
					}
					continue
				}
				want := map[string]string{
					"x-weir-source": tc.source, "x-weir-reason": reason, "x-weir-fallback-used": "true", "x-weir-degraded-mode": "",
				}
				switch tc.source {
				case "error":
					want["x-weir-fallback-used"] = ""
				case "degraded":
					want["x-weir-degraded-mode"] = "true"
				case "default":
					want["x-a"] = "b"
				}
				if reason == "circuit_open" && tc.source != "default" {
					want["retry-after"] = "10"
				}
				if step.Kind != request.SendReply {
					t.Fatalf("%s: got %+v, want SendReply", reason, step)
				}
				r, status := step.Reply, tc.status
				if tc.source == "degraded" && reason == "upstream_failure" {
					status = 500 // upstream's own
				}
				if r.Status != status || !strings.Contains(string(r.Body), tc.body) {
					t.Errorf("%s: got status %d, body %s; want %d, %s", reason, r.Status, r.Body, status, tc.body)
				}
				for name, value := range want {
					if got := requesttest.Header(r.Headers, name); got != value {
						t.Errorf("%s: got %s %q, want %q", reason, name, got, value)
					}
				}
			}
		})
	}
}

// TestErrorOnly: what a client must not take for a success is answered with a status of 400 or more (case E15).
func TestErrorOnly(t *testing.T) {
	const data = `"default_data":{"status":200,"headers":{"cache-control":"max-age=60","x-a":"b"},"body":{}}`
	for _, tc := range []struct {
		name, rules string
		errorOnly   bool
		upstream    int    // its status, 0: a reset
		want        string // status and source when upstream fails, and then while the breaker is open
	}{
		{"GET", data, false, 500, "200 default, 200 default"},
		{"POST", data, true, 500, "500 degraded, 503 degraded"},
		{"POST, 504", data, true, 504, "504 degraded, 503 degraded"},
		{"POST, reset", data, true, 0, "503 degraded, 503 degraded"},
		{"POST, status written", data + `,"degraded":{"status":599}`, true, 500, "599 degraded, 599 degraded"},
		{"POST, a success written", data + `,"degraded":{"status":202}`, true, 500, "500 degraded, 503 degraded"},
		{"GET, a success written", `"degraded":{"status":202}`, false, 500, "202 degraded, 202 degraded"},
		{"POST, not degraded", data + `,"enable_degraded_mode":false`, true, 500, "own, 503 error"},
	} {
		p := requesttest.Start(t, `{"circuit_breaker":{"failure_threshold":1},"fallback":{`+tc.rules+`}}`)
		var got []string
		for range 2 {
			r, step := p.Begin(request.Incoming{ErrorOnly: tc.errorOnly})
			if step.Kind != request.SendReply {
				resp := request.Response{Status: tc.upstream, Details: up, GRPC: -1, RetryAfter: 7 * time.Second}
				if tc.upstream == 0 {
					resp = request.Response{Status: 503, Details: "upstream_reset_before_response_started{connection_termination}", GRPC: -1}
				}
				step = r.Respond(&resp, p.Now)
			}
			if step.Kind == request.Continue {
				got = append(got, "own")
				continue
			}
			reply := step.Reply
			source := requesttest.Header(reply.Headers, "x-weir-source")
			got = append(got, fmt.Sprint(reply.Status, " ", source))
			if cc := requesttest.Header(reply.Headers, "cache-control"); cc != "no-store" {
				t.Errorf("%s: got cache-control %q, want no-store", tc.name, cc)
			}
			if source == "degraded" && len(got) == 1 && tc.upstream != 0 {
				if after := requesttest.Header(reply.Headers, "retry-after"); after != "7" {
					t.Errorf("%s: got retry-after %q, want upstream's 7", tc.name, after)
				}
			}
		}
		if got := strings.Join(got, ", "); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestGRPCRequestsGetGRPCReplies(t *testing.T) {
	p := requesttest.Start(t, fmt.Sprintf(fallbackChain, `,"default_data":{"body":{}},"on":["circuit_open","rate_limited"]`))
	p.RoundTrip(up, 500)
	_, step := p.Begin(request.Incoming{GRPC: true})
	if r := requesttest.Reply(step); r.GRPC != 14 || string(r.Body) != "CircuitBreakerError" ||
		requesttest.Header(r.Headers, "content-type") != "" {
		t.Errorf("breaker open: got %+v with body %s, want gRPC status 14, CircuitBreakerError and no content-type", r, r.Body)
	}
	p = requesttest.Start(t, `{"rate_limit":{"algorithm":"token_bucket","burst_capacity":1,"refill_rate":1}}`)
	p.RoundTrip(up, 200)
	_, step = p.Begin(request.Incoming{GRPC: true})
	if r := requesttest.Reply(step); r.GRPC != 8 || string(r.Body) != "RateLimitExceeded" ||
		requesttest.Header(r.Headers, "retry-after") != "1" {
		t.Errorf("limit reached: got %+v with body %s, want gRPC status 8, RateLimitExceeded and retry-after: 1", r, r.Body)
	}
}

func TestRouterGetsTheConfiguredTimeout(t *testing.T) {
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
			t.Errorf("%s, upgrade %v: got x-envoy-upstream-rq-timeout-ms %q, want %q", tc.rules, tc.upgrade, got, tc.want)
		}
	}
}

// TestHalfOpenAdmitsProbesOnly: no more probes run at a time than half_open_max_calls, and the place of a probe whose
// client left is free again.
func TestHalfOpenAdmitsProbesOnly(t *testing.T) {
	p := requesttest.Start(t, `{"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"10s","success_threshold":2,"half_open_max_calls":2}}`)
	p.RoundTrip(up, 500)
	p.Now += 9999 * ms
	if step := p.RoundTrip(up, 200); requesttest.Header(requesttest.Reply(step).Headers, "retry-after") != "1" {
		t.Fatalf("1 ms before the recovery timeout: got %+v, want retry-after: 1", step)
	}
	p.Now += ms
	first, step := p.Begin(request.Incoming{})
	second, step2 := p.Begin(request.Incoming{})
	if step.Kind != request.Continue || step2.Kind != request.Continue {
		t.Fatalf("two probes: got steps %v and %v, want Continue twice", step.Kind, step2.Kind)
	}
	if _, step := p.Begin(request.Incoming{}); step.Kind != request.SendReply {
		t.Fatalf("a third probe: got step %v, want SendReply", step.Kind)
	}
	first.Gone(requesttest.ClientLeft, 0, p.Now)
	third, step := p.Begin(request.Incoming{})
	if step.Kind != request.Continue {
		t.Fatalf("after a probe's client left: got step %v, want Continue", step.Kind)
	}
	for _, r := range []*request.Request{second, third} {
		r.Respond(&request.Response{Status: 200, Details: up, GRPC: -1, Ended: true}, p.Now)
	}
	want := []string{
		"closed -> open: consecutive_failures, status 500", "open -> half_open: recovery_timeout", "half_open -> closed: probes_succeeded, success",
	}
	if diff := cmp.Diff(want, p.Observer.Transitions()); diff != "" {
		t.Errorf("transitions: want (-), got (+):\n%s", diff)
	}
}

func TestRateLimitRefusalTakesNoProbe(t *testing.T) {
	p := requesttest.Start(t, `{"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"1s"},
		"rate_limit":{"algorithm":"token_bucket","burst_capacity":1,"refill_rate":0.1}}`)
	p.RoundTrip(up, 500)
	p.Now += 1000 * ms
	if step := p.RoundTrip(up, 200); requesttest.Reply(step).Status != 429 {
		t.Fatalf("limit reached, recovery timeout over: got %+v, want 429", step)
	}
	if got := p.Observer.Transitions(); len(got) != 1 {
		t.Fatalf("after a refused request: got transitions %q, want only that to open", got)
	}
	p.Now += 9000 * ms
	if step := p.RoundTrip(up, 200); step.Kind != request.Continue {
		t.Fatalf("the limit admits again: got %+v, want Continue for the probe", step)
	}
}

// TestCallbacksInAnyOrder calls everything twice and late.
func TestCallbacksInAnyOrder(t *testing.T) {
	p := requesttest.Start(t, fmt.Sprintf(fallbackChain, `,"default_data":{"body":{}}`))
	r, _ := p.Begin(request.Incoming{})
	replies := 0
	for range 3 {
		if r.Respond(&request.Response{Status: 503, Details: up, GRPC: -1}, p.Now).Kind == request.SendReply {
			replies++
		}
		r.Respond(&request.Response{Status: 200, Details: "weir_upstream_failure", GRPC: -1}, p.Now) // the local reply itself
		r.End(-1, p.Now)
		r.Gone(up, 0, p.Now)
	}
	if got := p.Observer.Transitions(); replies != 1 || len(got) != 1 {
		t.Errorf("got %d replies and transitions %q, want 1 of each", replies, got)
	}
	var zero request.Request
	zero.Respond(&request.Response{Status: 503, Details: up}, p.Now)
	zero.End(-1, p.Now)
	zero.Gone(up, 0, p.Now)
	if zero.Unsettled() {
		t.Error("got an open request that never began, want none")
	}
}

// failingStore is a store that fails to read or to write.
type failingStore struct {
	*sharedstate.Memory
	unreadable, readOnly bool
}

var errBroken = errors.New("shared data broken")

func (s *failingStore) Get(key string) ([]byte, uint32, error) {
	if s.unreadable {
		return nil, 0, errBroken
	}
	return s.Memory.Get(key)
}

func (s *failingStore) Set(key string, value []byte, cas uint32) error {
	if s.readOnly {
		return errBroken
	}
	return s.Memory.Set(key, value, cas)
}

func TestRequestsPassWhenTheStoreFails(t *testing.T) {
	for name, rules := range map[string]string{
		"one record": `{"circuit_breaker":{},"bulkhead":{"max_concurrent":1},"retry":{},"rate_limit":{"algorithm":"token_bucket","headers":"all"}}`,
		"by key":     `{"rate_limit":{"requests":1,"key":["path"],"headers":"all"}}`,
	} {
		for _, readOnly := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, read only %v", name, readOnly), func(t *testing.T) {
				store := &failingStore{Memory: sharedstate.NewMemory()}
				p := requesttest.StartOn(t, rules, store)
				store.readOnly, store.unreadable = readOnly, !readOnly
				for range 3 {
					r, step := p.Begin(incoming(p, "GET"))
					if got := granted(step); step.Kind != request.Continue || got != "" && got != "0" {
						t.Errorf("request: got step %v with %s retries granted, want Continue with none", step.Kind, got)
					}
					step = respond(p, r, 500, 1)
					if limit := requesttest.Header(step.Set, "ratelimit"); step.Kind != request.Continue || limit != "" {
						t.Errorf("response: got step %v with ratelimit %q, want Continue without", step.Kind, limit)
					}
				}
				for _, want := range []string{"fault: shared data broken", "decided allowed"} {
					if got := p.Observer.Events; !slices.Contains(got, want) {
						t.Errorf("got events %q, want %q among them", got, want)
					}
				}
			})
		}
	}
}

// breakingStore fails to write a record from the second time on while it is armed.
type breakingStore struct {
	*sharedstate.Memory
	armed  bool
	writes int
}

func (s *breakingStore) Set(key string, value []byte, cas uint32) error {
	if s.armed && key == sharedstate.ClusterKey("aws") {
		if s.writes++; s.writes > 1 {
			return errBroken
		}
	}
	return s.Memory.Set(key, value, cas)
}

// TestALaterFaultKeepsNoPlace: where the budget can't be stored, the place that was taken before is still returned.
func TestALaterFaultKeepsNoPlace(t *testing.T) {
	store := &breakingStore{Memory: sharedstate.NewMemory()}
	p := requesttest.StartOn(t, `{"bulkhead":{"max_concurrent":1},"retry":{},"rate_limit":{"requests":100,"key":["path"]}}`, store)
	store.armed = true
	r, step := p.Begin(incoming(p, "GET"))
	if got := p.Observer.Matching("fault"); step.Kind != request.Continue || len(got) != 1 {
		t.Fatalf("got step %v and faults %q, want Continue and one", step.Kind, got)
	}
	store.armed = false
	respond(p, r, 200, 1)
	if _, step := p.Begin(incoming(p, "GET")); step.Kind != request.Continue {
		t.Errorf("the next request: got step %v, want Continue", step.Kind)
	}
}

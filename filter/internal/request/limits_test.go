package request_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/sharedstate"
)

// fingerprint is that of a numbered key, as SipHash would spread it.
func fingerprint(n uint64) sharedstate.Fingerprint {
	h := n*0x9E3779B185EBCA87 + 1
	h ^= h >> 31
	return sharedstate.Fingerprint{Hi: n + 1, Lo: h * 0xD6E8FEB86659FD93}
}

// TestMillionKeys floods a limit by key with a million keys: no key that is used up is admitted again, the number of
// admitted requests is bounded, and the store holds what the documentation says.
func TestMillionKeys(t *testing.T) {
	const maxKeys = 1024
	store := sharedstate.NewMemory()
	p := requesttest.StartOn(t, `{"rate_limit":{"requests":2,"window_size":"1h","key":["path"],"max_keys":1024}}`, store)
	admits := func(n uint64) bool {
		_, step := p.Begin(request.Incoming{Key: fingerprint(n)})
		return step.Kind == request.Continue
	}
	var usedUp []uint64
	for n := uint64(0); len(usedUp) < 100; n++ {
		if first, second, third := admits(n), admits(n), admits(n); first && second && !third {
			usedUp = append(usedUp, n)
		}
	}
	p.Observer.Events = nil
	admitted := 0
	keys := uint64(1_000_000)
	if testing.Short() {
		keys = 100_000
	}
	for n := range keys {
		if admits(1_000_000 + n) {
			admitted++
		}
		if n%1000 == 0 {
			p.Observer.Events = nil
		}
	}
	// Each place admits one request of the key that took it, and the place that the other keys share admits 2.
	if most := maxKeys - len(usedUp) + 2; admitted > most || admitted < most/2 {
		t.Errorf("got %d of %d different keys admitted, want %d to %d", admitted, keys, most/2, most)
	}
	for _, n := range usedUp {
		if admits(n) {
			t.Fatalf("got key %d admitted after the flood, want it refused: its limit was used up", n)
		}
	}
	// 32 sets of 32, the overflow, the seed and the number of workers. The cluster has no record: nothing needs one.
	if got := store.Len(); got > 32+3 {
		t.Errorf("got %d records, want at most 35", got)
	}
	// Places that are idle are given to other keys.
	p.Now += int64(2 * time.Hour)
	for n := range uint64(500) {
		if !admits(5_000_000 + n) {
			t.Fatalf("two hours later: got key %d refused, want it admitted", n)
		}
	}
}

// TestRefusalByKeyReturnsPlaces: a request that its key's limit refuses takes no place of the bulkhead and no probe.
func TestRefusalByKeyReturnsPlaces(t *testing.T) {
	p := requesttest.Start(t, `{"bulkhead":{"max_concurrent":1},"rate_limit":{"requests":1,"window_size":"1h","key":["path"]},
		"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"1s","half_open_max_calls":1}}`)
	r, _ := p.Begin(request.Incoming{Key: fingerprint(1)})
	r.Respond(&request.Response{Status: 500, Details: up, GRPC: -1, Ended: true}, p.Now)
	r.Gone(up, 0, p.Now)
	p.Now += 1000 * ms
	for range 5 {
		if _, step := p.Begin(request.Incoming{Key: fingerprint(1)}); requesttest.Reply(step).Status != 429 {
			t.Fatalf("a key that is used up: got %+v, want 429", step)
		}
	}
	r, step := p.Begin(request.Incoming{Key: fingerprint(2)})
	if step.Kind != request.Continue {
		t.Fatalf("a probe with another key: got %+v, want Continue", step)
	}
	_, step = p.Begin(request.Incoming{Key: fingerprint(3)})
	if reason := requesttest.Header(requesttest.Reply(step).Headers, "x-weir-reason"); reason != "circuit_open" {
		t.Fatalf("a second probe: got %+v, want x-weir-reason: circuit_open", step)
	}
	r.Gone(requesttest.ClientLeft, 0, p.Now)
	if _, step := p.Begin(request.Incoming{Key: fingerprint(4)}); step.Kind != request.Continue {
		t.Fatalf("after the probe's client left: got %+v, want Continue", step)
	}
}

func TestBulkheadCountsAllWorkers(t *testing.T) {
	store := sharedstate.NewMemory()
	const rules = `{"bulkhead":{"max_concurrent":3}}`
	a, b := requesttest.StartOn(t, rules, store), requesttest.StartOn(t, rules, store)
	first, _ := a.Begin(request.Incoming{})
	a.Begin(request.Incoming{})
	third, _ := b.Begin(request.Incoming{})
	for _, p := range []*requesttest.Proxy{a, b} {
		_, step := p.Begin(request.Incoming{})
		headers := requesttest.Reply(step).Headers
		reason, wait := requesttest.Header(headers, "x-weir-reason"), requesttest.Header(headers, "retry-after")
		if requesttest.Reply(step).Status != 503 || reason != "bulkhead_full" || wait != "" {
			t.Fatalf("a fourth request: got %d, reason %q, retry-after %q; want 503, bulkhead_full, none",
				requesttest.Reply(step).Status, reason, wait)
		}
	}
	for range 3 { // a request returns its place once, whatever callbacks come
		first.Respond(&request.Response{Status: 200, Details: up, GRPC: -1}, a.Now)
		first.End(-1, a.Now)
		first.Gone(up, 0, a.Now)
	}
	for _, tc := range []struct {
		name string
		want request.Kind
	}{{"the place of the first request", request.Continue}, {"a place that was returned once", request.SendReply}} {
		if _, step := b.Begin(request.Incoming{}); step.Kind != tc.want {
			t.Fatalf("%s: got step %v, want %v", tc.name, step.Kind, tc.want)
		}
	}
	third.Gone(requesttest.ClientLeft, 0, b.Now)
	if _, step := a.Begin(request.Incoming{}); step.Kind != request.Continue {
		t.Fatalf("after a client left: got step %v, want Continue", step.Kind)
	}
	// Worker a crashes and gives no heartbeats any more. Worker b lives on.
	for range 6 {
		b.Now += int64(sharedstate.HeartbeatEvery)
		if err := b.Worker.Heartbeat(b.Now); err != nil {
			t.Fatal(err)
		}
	}
	if _, step := b.Begin(request.Incoming{}); step.Kind != request.Continue {
		t.Fatalf("after a worker crashed: got step %v, want Continue in one of its places", step.Kind)
	}
}

// TestBulkheadOfAStalledWorker: a share that was dropped while its worker gave no heartbeats counts again afterwards.
func TestBulkheadOfAStalledWorker(t *testing.T) {
	store := sharedstate.NewMemory()
	const rules = `{"bulkhead":{"max_concurrent":2}}`
	a, b := requesttest.StartOn(t, rules, store), requesttest.StartOn(t, rules, store)
	a.Begin(request.Incoming{})
	b.Now += int64(10 * time.Second)
	b.Begin(request.Incoming{})
	if err := a.Worker.Heartbeat(b.Now); err != nil {
		t.Fatal(err)
	}
	if _, step := b.Begin(request.Incoming{}); step.Kind != request.SendReply {
		t.Fatalf("with a request of each worker in flight: got step %v, want SendReply", step.Kind)
	}
}

// TestForgetReturnsThePlaceLater: after a fault of the filter the store is left alone, and the next heartbeat returns
// the place.
func TestForgetReturnsThePlaceLater(t *testing.T) {
	p := requesttest.Start(t, `{"bulkhead":{"max_concurrent":1}}`)
	r, _ := p.Begin(request.Incoming{})
	r.Forget()
	if _, step := p.Begin(request.Incoming{}); step.Kind != request.SendReply {
		t.Fatalf("before the heartbeat: got step %v, want SendReply", step.Kind)
	}
	if err := p.Worker.Heartbeat(p.Now); err != nil {
		t.Fatal(err)
	}
	if _, step := p.Begin(request.Incoming{}); step.Kind != request.Continue {
		t.Fatalf("after the heartbeat: got step %v, want Continue", step.Kind)
	}
}

func TestFallbackReturnsThePlaceFirst(t *testing.T) {
	p := requesttest.Start(t, `{"bulkhead":{"max_concurrent":1},"fallback":{"enable_cache_fallback":false,"default_data":{"body":{}}}}`)
	r, _ := p.Begin(request.Incoming{})
	if step := r.Respond(&request.Response{Status: 503, Details: up, GRPC: -1}, p.Now); step.Kind != request.SendReply {
		t.Fatalf("got %+v, want the fallback's reply", step)
	}
	if _, step := p.Begin(request.Incoming{}); step.Kind != request.Continue {
		t.Fatalf("while the fallback's reply is sent: got step %v, want Continue", step.Kind)
	}
}

func TestShadowDecidesAndNeverActs(t *testing.T) {
	p := requesttest.Start(t, `{"mode":"shadow","rate_limit":{"requests":1,"window_size":"1h","headers":"all"},"circuit_breaker":{"failure_threshold":1,"timeout":"5s"},
		"fallback":{"enable_cache_fallback":false,"default_data":{"body":{}}}}`)
	for _, tc := range []struct {
		status         int
		source, reason string // of the response
	}{
		{500, "upstream", "shadow_upstream_failure"},
		{200, "upstream", "shadow_circuit_open"},
	} {
		r, step := p.Begin(request.Incoming{})
		if step.Kind != request.Continue || len(step.Set) != 0 {
			t.Fatalf("request: got %+v, want Continue without headers", step)
		}
		step = r.Respond(&request.Response{Status: tc.status, Details: up, GRPC: -1, Ended: true}, p.Now)
		source, reason := requesttest.Header(step.Set, "x-weir-source"), requesttest.Header(step.Set, "x-weir-reason")
		if limit := requesttest.Header(step.Set, "ratelimit"); step.Kind != request.Continue || source != tc.source ||
			reason != tc.reason || limit != "" {
			t.Fatalf("response %d: got step %v, source %q, reason %q, ratelimit %q; want Continue, %q, %q, none",
				tc.status, step.Kind, source, reason, limit, tc.source, tc.reason)
		}
	}
	want := []string{
		"decided allowed in shadow", "closed -> open: consecutive_failures, status 500", "response from upstream",
		"decided circuit_open in shadow", "response from upstream",
	}
	if got := p.Observer.Events; !slices.Equal(got, want) {
		t.Errorf("got events %q, want %q", got, want)
	}
}

func TestAdaptiveLimitFollowsOutcomes(t *testing.T) {
	for _, key := range []string{"", `,"key":["path"]`} {
		p := requesttest.Start(t, `{"rate_limit":{"algorithm":"adaptive","requests":100,"window_size":"1s","adaptive_interval":"1s","adaptive_min_samples":5`+key+`}}`)
		second := func(status int) (admitted int) {
			p.Now += 1000 * ms
			for range 150 {
				r, step := p.Begin(request.Incoming{Key: fingerprint(7)})
				if step.Kind != request.Continue {
					continue
				}
				admitted++
				r.Respond(&request.Response{Status: status, Details: up, GRPC: -1, Ended: true}, p.Now)
			}
			return admitted
		}
		if got := second(500); got != 100 {
			t.Fatalf("%q, the first second: got %d admitted, want 100", key, got)
		}
		for range 12 {
			second(500)
		}
		if got := second(500); got != 10 {
			t.Errorf("%q, after failures: got %d admitted, want a tenth, 10", key, got)
		}
		for range 20 {
			second(200)
		}
		if got := second(200); got != 100 {
			t.Errorf("%q, after successes: got %d admitted, want 100", key, got)
		}
	}
}

// TestReloadKeepsWhatTheLimitCounted: another policy for the same cluster, over the same state, gives no new burst.
func TestReloadKeepsWhatTheLimitCounted(t *testing.T) {
	for _, tc := range [][2]string{
		{`{"requests":5,"window_size":"1h"}`, `{"requests":8,"window_size":"1h"}`},
		{`{"requests":5,"window_size":"1h"}`, `{"requests":1000,"window_size":"1h"}`},
		{`{"requests":5,"window_size":"1h"}`, `{"algorithm":"token_bucket","burst_capacity":5,"refill_rate":0.001}`},
		{`{"algorithm":"token_bucket","burst_capacity":5,"refill_rate":0.001}`, `{"requests":5,"window_size":"1h"}`},
	} {
		store := sharedstate.NewMemory()
		before := requesttest.StartOn(t, `{"rate_limit":`+tc[0]+`}`, store)
		used := 0
		for before.RoundTrip(up, 200).Kind == request.Continue {
			used++
		}
		after := requesttest.StartOn(t, `{"rate_limit":`+tc[1]+`}`, store)
		var limit int
		if _, err := fmt.Sscanf(tc[1], `{"requests":%d`, &limit); err != nil {
			limit = 5
		}
		more := 0
		for more <= limit && after.RoundTrip(up, 200).Kind == request.Continue {
			more++
		}
		if used+more > limit {
			t.Errorf("from %s to %s: got %d admitted before and %d after the reload, want at most %d together", tc[0], tc[1],
				used, more, limit)
		}
	}
}

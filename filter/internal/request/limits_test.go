package request_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/sharedstate"
)

// keyOf is a fingerprint for a number, as SipHash would spread it.
func keyOf(n uint64) sharedstate.Fingerprint {
	h := n*0x9E3779B185EBCA87 + 1
	h ^= h >> 31
	return sharedstate.Fingerprint{Hi: n + 1, Lo: h * 0xD6E8FEB86659FD93}
}

// TestMillionKeys floods a limit by key with a million keys: nobody's limit is freed, what is admitted is bounded, and
// the store holds what the documentation says and no more.
func TestMillionKeys(t *testing.T) {
	const maxKeys = 1024
	store := sharedstate.NewMemory()
	p := requesttest.StartOn(t, `{"rate_limit":{"requests":2,"window_size":"1h","key":["path"],"max_keys":1024}}`, store)
	ask := func(n uint64) bool {
		_, step := p.Begin(request.Incoming{Key: keyOf(n)})
		return step.Kind == request.Continue
	}
	var victims []uint64
	for n := uint64(0); len(victims) < 100; n++ {
		if first, second, third := ask(n), ask(n), ask(n); first && second && !third {
			victims = append(victims, n)
		}
	}
	p.Observer.Events = nil
	admitted := 0
	keys := uint64(1_000_000)
	if testing.Short() {
		keys = 100_000
	}
	for n := range keys {
		if ask(1_000_000 + n) {
			admitted++
		}
		if n%1000 == 0 {
			p.Observer.Events = nil
		}
	}
	// Each place admits one request of the key that took it, and the common place 2.
	if most := maxKeys - len(victims) + 2; admitted > most || admitted < most/2 {
		t.Errorf("%d of %d different keys were admitted, at most %d may be", admitted, keys, most)
	}
	for _, n := range victims {
		if ask(n) {
			t.Fatalf("the flood freed the limit of key %d", n)
		}
	}
	// 32 sets of 32, the overflow, the seed and the workers' count. No record of the cluster: nothing needs one.
	if store.Len() > 32+3 {
		t.Errorf("%d records, 35 are the bound", store.Len())
	}
	// When all is idle, places are given to others.
	p.Now += int64(2 * time.Hour)
	for n := range uint64(500) {
		if !ask(5_000_000 + n) {
			t.Fatalf("an hour later key %d finds no place", n)
		}
	}
}

// TestKeyedLimitGivesBackWhatTheClusterGave: a request that its key's limit refuses has cost no place of the bulkhead and
// no probe.
func TestKeyedLimitGivesBackWhatTheClusterGave(t *testing.T) {
	p := requesttest.Start(t, `{"bulkhead":{"max_concurrent":1},"rate_limit":{"requests":1,"window_size":"1h","key":["path"]},
		"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"1s","half_open_max_calls":1}}`)
	x, _ := p.Begin(request.Incoming{Key: keyOf(1)})
	x.Respond(&request.Response{Status: 500, Details: up, GRPC: -1, Ended: true}, p.Now)
	x.Gone(up, 0, p.Now)
	p.Now += 1000 * ms
	for range 5 {
		if _, step := p.Begin(request.Incoming{Key: keyOf(1)}); step.Reply.Status != 429 {
			t.Fatalf("a used up key: %+v", step)
		}
	}
	x, step := p.Begin(request.Incoming{Key: keyOf(2)})
	if step.Kind != request.Continue {
		t.Fatalf("another key's probe: %+v", step)
	}
	if _, step := p.Begin(request.Incoming{Key: keyOf(3)}); requesttest.Header(step.Reply.Headers, "x-weir-reason") != "circuit_open" {
		t.Fatalf("one probe at a time: %+v", step)
	}
	x.Gone(requesttest.ClientLeft, 0, p.Now)
	if _, step := p.Begin(request.Incoming{Key: keyOf(4)}); step.Kind != request.Continue {
		t.Fatalf("the place did not come back: %+v", step)
	}
}

func TestBulkheadOverWorkers(t *testing.T) {
	store := sharedstate.NewMemory()
	const rules = `{"bulkhead":{"max_concurrent":3}}`
	a, b := requesttest.StartOn(t, rules, store), requesttest.StartOn(t, rules, store)
	first, _ := a.Begin(request.Incoming{})
	a.Begin(request.Incoming{})
	third, _ := b.Begin(request.Incoming{})
	for _, p := range []*requesttest.Proxy{a, b} {
		_, step := p.Begin(request.Incoming{})
		if step.Reply.Status != 503 || requesttest.Header(step.Reply.Headers, "x-weir-reason") != "bulkhead_full" || requesttest.Header(step.Reply.Headers, "retry-after") != "" {
			t.Fatalf("a fourth: %+v", step)
		}
	}
	for range 3 { // an exchange gives its place back once, whatever callbacks come
		first.Respond(&request.Response{Status: 200, Details: up, GRPC: -1}, a.Now)
		first.End(-1, a.Now)
		first.Gone(up, 0, a.Now)
	}
	if _, step := b.Begin(request.Incoming{}); step.Kind != request.Continue {
		t.Fatal("a place did not come back")
	}
	if _, step := b.Begin(request.Incoming{}); step.Kind == request.Continue {
		t.Fatal("one place came back twice")
	}
	third.Gone(requesttest.ClientLeft, 0, b.Now)
	if _, step := a.Begin(request.Incoming{}); step.Kind != request.Continue {
		t.Fatal("the place of a client that left did not come back")
	}
	// Worker a crashes: nothing of it is heard any more. Worker b lives on.
	for range 6 {
		b.Now += int64(sharedstate.HeartbeatEvery)
		if err := b.Worker.Heartbeat(b.Now); err != nil {
			t.Fatal(err)
		}
	}
	if _, step := b.Begin(request.Incoming{}); step.Kind != request.Continue {
		t.Fatal("the share of a crashed worker did not come back")
	}
}

// TestBulkheadOfAStalledWorker: a share that was dropped while its worker was silent counts again when it is back.
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
	if _, step := b.Begin(request.Incoming{}); step.Kind == request.Continue {
		t.Fatal("a's request still runs, and b's: the bulkhead is full")
	}
}

// TestForgottenExchange: after a fault in the middle of a request nothing is asked of the store, and the next beat gives
// the place back.
func TestForgottenExchange(t *testing.T) {
	p := requesttest.Start(t, `{"bulkhead":{"max_concurrent":1}}`)
	x, _ := p.Begin(request.Incoming{})
	x.Forget()
	if _, step := p.Begin(request.Incoming{}); step.Kind == request.Continue {
		t.Fatal("nobody gave the place back yet")
	}
	if err := p.Worker.Heartbeat(p.Now); err != nil {
		t.Fatal(err)
	}
	if _, step := p.Begin(request.Incoming{}); step.Kind != request.Continue {
		t.Fatal("the place did not come back")
	}
}

func TestBulkheadReleasedBeforeAFallbackAnswers(t *testing.T) {
	p := requesttest.Start(t, `{"bulkhead":{"max_concurrent":1},"fallback":{"enable_cache_fallback":false,"default_data":{"body":{}}}}`)
	x, _ := p.Begin(request.Incoming{})
	if step := x.Respond(&request.Response{Status: 503, Details: up, GRPC: -1}, p.Now); step.Kind != request.SendReply {
		t.Fatalf("%+v", step)
	}
	if _, step := p.Begin(request.Incoming{}); step.Kind != request.Continue {
		t.Fatal("the request to the upstream is over, its place is free")
	}
}

func TestShadowDecidesAndNeverActs(t *testing.T) {
	p := requesttest.Start(t, `{"mode":"shadow","rate_limit":{"requests":1,"window_size":"1h","headers":"all"},"circuit_breaker":{"failure_threshold":1,"timeout":"5s"},
		"fallback":{"enable_cache_fallback":false,"default_data":{"body":{}}}}`)
	x, step := p.Begin(request.Incoming{})
	if step.Kind != request.Continue || len(step.Set) != 0 {
		t.Fatalf("allowed: %+v", step)
	}
	step = x.Respond(&request.Response{Status: 500, Details: up, GRPC: -1, Ended: true}, p.Now)
	if step.Kind != request.Continue || requesttest.Header(step.Set, "x-weir-reason") != "shadow_upstream_failure" || requesttest.Header(step.Set, "ratelimit") != "" {
		t.Fatalf("a failing answer: %+v", step)
	}
	x, step = p.Begin(request.Incoming{})
	if step.Kind != request.Continue {
		t.Fatalf("refused: %+v", step)
	}
	step = x.Respond(&request.Response{Status: 200, Details: up, GRPC: -1, Ended: true}, p.Now)
	if step.Kind != request.Continue || requesttest.Header(step.Set, "x-weir-reason") != "shadow_circuit_open" || requesttest.Header(step.Set, "x-weir-source") != "upstream" {
		t.Fatalf("what would have been refused: %+v", step)
	}
	want := []string{"decided allowed in shadow", "closed -> open: consecutive_failures, status 500", "response from upstream", "decided circuit_open in shadow", "response from upstream"}
	if !slices.Equal(p.Observer.Events, want) {
		t.Errorf("got %q, want %q", p.Observer.Events, want)
	}
}

func TestAdaptiveFollowsOutcomes(t *testing.T) {
	for _, key := range []string{"", `,"key":["path"]`} {
		p := requesttest.Start(t, `{"rate_limit":{"algorithm":"adaptive","requests":100,"window_size":"1s","adaptive_interval":"1s","adaptive_min_samples":5`+key+`}}`)
		second := func(status int) (admitted int) {
			p.Now += 1000 * ms
			for range 150 {
				x, step := p.Begin(request.Incoming{Key: keyOf(7)})
				if step.Kind != request.Continue {
					continue
				}
				admitted++
				x.Respond(&request.Response{Status: status, Details: up, GRPC: -1, Ended: true}, p.Now)
			}
			return admitted
		}
		if got := second(500); got != 100 {
			t.Fatalf("%q: %d admitted at first", key, got)
		}
		for range 12 {
			second(500)
		}
		if got := second(500); got != 10 {
			t.Errorf("%q: upstream fails, %d admitted, a tenth is 10", key, got)
		}
		for range 20 {
			second(200)
		}
		if got := second(200); got != 100 {
			t.Errorf("%q: upstream is well, %d admitted", key, got)
		}
	}
}

// TestReloadCarriesTheLimitOver: another policy for the same cluster, over the same state, gives no free burst.
func TestReloadCarriesTheLimitOver(t *testing.T) {
	for _, change := range [][2]string{
		{`{"requests":5,"window_size":"1h"}`, `{"requests":8,"window_size":"1h"}`},
		{`{"requests":5,"window_size":"1h"}`, `{"requests":1000,"window_size":"1h"}`},
		{`{"requests":5,"window_size":"1h"}`, `{"algorithm":"token_bucket","burst_capacity":5,"refill_rate":0.001}`},
		{`{"algorithm":"token_bucket","burst_capacity":5,"refill_rate":0.001}`, `{"requests":5,"window_size":"1h"}`},
	} {
		store := sharedstate.NewMemory()
		before := requesttest.StartOn(t, `{"rate_limit":`+change[0]+`}`, store)
		used := 0
		for before.RoundTrip(up, 200).Kind == request.Continue {
			used++
		}
		after := requesttest.StartOn(t, `{"rate_limit":`+change[1]+`}`, store)
		var limit int
		if _, err := fmt.Sscanf(change[1], `{"requests":%d`, &limit); err != nil {
			limit = 5
		}
		more := 0
		for more <= limit && after.RoundTrip(up, 200).Kind == request.Continue {
			more++
		}
		if used+more > limit {
			t.Errorf("%s: %d used before the reload to %s, and %d more after it", change[0], used, change[1], more)
		}
	}
}

func BenchmarkExchange(b *testing.B) {
	for name, rules := range map[string]string{
		"token bucket": `{"circuit_breaker":{},"rate_limit":{"algorithm":"token_bucket","burst_capacity":1000000,"refill_rate":1000000}}`,
		"window 100":   `{"circuit_breaker":{},"rate_limit":{"requests":100,"window_size":"100ms"}}`,
		"window 512":   `{"circuit_breaker":{},"rate_limit":{"requests":512,"window_size":"510ms"}}`,
		"sub-windows":  `{"circuit_breaker":{},"rate_limit":{"requests":1000000,"window_size":"1s"}}`,
		"bulkhead":     `{"bulkhead":{"max_concurrent":10}}`,
		"by key":       `{"rate_limit":{"algorithm":"token_bucket","burst_capacity":1000000,"refill_rate":1000000,"key":["path"]}}`,
	} {
		b.Run(name, func(b *testing.B) {
			plan, now := planOf(b, rules, requesttest.Discard{}), int64(time.Hour)
			x := &request.Request{}
			var n [8]byte
			b.ReportAllocs()
			for b.Loop() {
				*x = request.Request{}
				now += ms
				binary.LittleEndian.PutUint64(n[:], uint64(now))
				x.Begin(plan, &request.Incoming{Key: keyOf(uint64(n[2]))}, now)
				x.Respond(&request.Response{Status: 200, Details: up, GRPC: -1}, now)
				x.End(-1, now)
			}
		})
	}
}

package publish_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/internal/publish"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

const ms = int64(time.Millisecond)

// gauges implements publish.Gauges. All workers share one.
type gauges struct {
	breaker  breaker.Status
	inFlight uint32
	limit    float64
	ratio    float64
	noHost   bool
	hostSets int // how often noHost was set
}

func (g *gauges) Breaker(s breaker.Status)   { g.breaker = s }
func (g *gauges) InFlight(n uint32)          { g.inFlight = n }
func (g *gauges) Limit(perMinute float64)    { g.limit = perMinute }
func (g *gauges) SuccessRatio(ratio float64) { g.ratio = ratio }
func (g *gauges) NoHealthyHost(none bool)    { g.noHost, g.hostSets = none, g.hostSets+1 }
func (g *gauges) HasNoHealthyHost() bool     { return g.noHost }

// worker is a proxy's worker that publishes its one cluster.
type worker struct {
	*requesttest.Proxy
	store     sharedstate.Store
	rules     *policy.Policy
	publisher *publish.Publisher
}

func start(t *testing.T, rules string, store sharedstate.Store, g *gauges) *worker {
	t.Helper()
	raw := `{"clusters":{"aws":` + rules + `}}`
	document := requesttest.Decode(t, raw)
	w := &worker{Proxy: requesttest.StartOn(t, rules, store), store: store, rules: document.For("aws")}
	w.publisher = publish.New(w.Worker, document, nil)
	w.publisher.Add(w.Cluster, w.rules, g)
	return w
}

// heartbeat gives the next heartbeat, a second later.
func (w *worker) heartbeat() {
	w.Helper()
	w.Now += int64(sharedstate.HeartbeatEvery)
	if err := w.Worker.Heartbeat(w.Now); err != nil {
		w.Fatal(err)
	}
	if _, err := w.publisher.Heartbeat(w.Now); err != nil {
		w.Fatal(err)
	}
}

func TestRegistryListsTheClusters(t *testing.T) {
	store := sharedstate.NewMemory()
	w := requesttest.NewWorker(t, store)
	raw := `{"clusters":{"a":{"bulkhead":{}},"b*":{},"off":{"mode":"off","bulkhead":{}}},"default":{}}`
	document := requesttest.Decode(t, raw)
	p := publish.New(w, document, nil)
	listed := func(now int64) (names string) {
		t.Helper()
		if _, err := p.Heartbeat(now); err != nil {
			t.Fatal(err)
		}
		l, err := registry.Read(store, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range l.Entries {
			names += fmt.Sprint(e.Cluster, ":", e.Policy.Mode, ":", e.Policy.Bulkhead != nil, " ")
		}
		return names
	}
	if got, want := listed(1000), "a:0:true off:2:false "; got != want {
		t.Errorf("before any request: got %s, want %s", got, want)
	}
	c := request.NewCluster("b1", document.For("b1"), w, nil, nil, requesttest.Discard{})
	p.Add(c, document.For("b1"), &gauges{})
	p.Forget()
	if got, want := listed(2000), "a:0:true off:2:false b1:0:false "; got != want {
		t.Errorf("after the first request to b1: got %s, want %s", got, want)
	}
}

func TestGauges(t *testing.T) {
	g := &gauges{ratio: -1}
	p := start(t, `{"circuit_breaker":{"failure_threshold":2},"bulkhead":{"max_concurrent":5},
		"rate_limit":{"algorithm":"adaptive","requests":100,"window_size":"10s","adaptive_interval":"1s","adaptive_min_samples":2,"backoff_factor":0.5}}`, sharedstate.NewMemory(), g)
	p.heartbeat()
	if g.breaker != breaker.Closed || g.inFlight != 0 || g.limit != 600 || g.ratio != -1 {
		t.Fatalf("at first: got %+v, want closed, 0 in flight, a limit of 600 and no ratio", g)
	}
	held, _ := p.Begin(request.Incoming{})
	p.RoundTrip(requesttest.Upstream, 500)
	p.Now += 1000 * ms
	p.RoundTrip(requesttest.Upstream, 500)
	p.heartbeat()
	if g.breaker != breaker.Open || g.inFlight != 1 || g.limit != 300 || g.ratio != 0 {
		t.Fatalf("after failures: got %+v, want open, 1 in flight, a limit of 300 and ratio 0", g)
	}
	held.Gone(requesttest.ClientLeft, 0, p.Now)
	p.heartbeat()
	if g.inFlight != 0 {
		t.Fatalf("after its client left: got %+v, want 0 in flight", g)
	}
}

func TestNoHealthyHost(t *testing.T) {
	store, g := sharedstate.NewMemory(), &gauges{}
	a, b := start(t, `{}`, store, g), start(t, `{}`, store, g)
	for _, tc := range []struct {
		worker  *worker
		details string
		status  int
		after   bool // a heartbeat
		want    bool
		sets    int
	}{
		{worker: a, details: requesttest.Upstream, status: 200},
		{worker: a, details: "no_healthy_upstream", status: 503, want: true, sets: 1},
		{worker: a, details: "no_healthy_upstream", status: 503, want: true, sets: 1},
		{worker: a, details: "upstream_reset_before_response_started{remote_connection_failure}", status: 503, want: true, sets: 1},
		{worker: a, details: "direct_response", status: 200, want: true, sets: 1},
		{worker: b, details: requesttest.Upstream, status: 200, want: true, sets: 1},  // it has not read yet what another worker found
		{worker: b, details: requesttest.Upstream, status: 500, after: true, sets: 2}, // a host answered
		{worker: a, details: requesttest.Upstream, status: 200, sets: 3},
		{worker: a, details: "no_healthy_upstream", status: 503, after: true, want: true, sets: 4},
	} {
		if tc.after {
			tc.worker.heartbeat()
		}
		tc.worker.RoundTrip(tc.details, tc.status)
		if g.noHost != tc.want || g.hostSets != tc.sets {
			t.Fatalf("after %s: got %v, set %d times; want %v, %d", tc.details, g.noHost, g.hostSets, tc.want, tc.sets)
		}
	}
}

// TestOperatorReset: breaker, limits and budget are as new, and requests that run stay in the bulkhead.
func TestOperatorReset(t *testing.T) {
	for _, tc := range []struct{ name, rules string }{
		{"one limit", `{"rate_limit":{"requests":2,"window_size":"60s"}}`},
		{"token bucket", `{"rate_limit":{"algorithm":"token_bucket","burst_capacity":2,"refill_rate":0.001}}`},
		{"by key", `{"rate_limit":{"requests":2,"window_size":"60s","key":["path"]}}`},
		{"by key, max_keys 1", `{"rate_limit":{"requests":2,"window_size":"60s","key":["path"],"max_keys":1}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := start(t, tc.rules, sharedstate.NewMemory(), &gauges{})
			admitted := func() (n int) {
				for range 5 {
					for _, key := range []uint64{1, 2} {
						if _, step := p.Begin(request.Incoming{Key: fingerprint(key)}); step.Kind == request.Continue {
							n++
						}
					}
				}
				return n
			}
			first := admitted()
			if again := admitted(); first < 2 || again != 0 {
				t.Fatalf("before the reset: got %d admitted, then %d; want at least 2, then 0", first, again)
			}
			if _, err := registry.ResetCluster(p.store, &registry.Entry{Cluster: "aws", Policy: *p.rules}, p.Now); err != nil {
				t.Fatal(err)
			}
			if again := admitted(); again != first {
				t.Errorf("after the reset: got %d admitted, want %d", again, first)
			}
		})
	}
	p := start(t, `{"circuit_breaker":{"failure_threshold":1},"bulkhead":{"max_concurrent":2},"retry":{"budget":{"percent":0,"min_per_second":1}}}`, sharedstate.NewMemory(), &gauges{})
	held, _ := p.Begin(request.Incoming{})
	req, _ := p.Begin(request.Incoming{Retry: true})
	req.Respond(&request.Response{Status: 500, Details: requesttest.Upstream, GRPC: -1, Ended: true, Attempts: 3}, p.Now)
	req.Gone(requesttest.Upstream, 3, p.Now)
	var r sharedstate.Record
	view := registry.NewView(p.rules)
	load := func() {
		t.Helper()
		if _, err := sharedstate.NewCell(p.store, sharedstate.ClusterKey("aws"), &r).Load(); err != nil {
			t.Fatal(err)
		}
	}
	if load(); r.Breaker.Status != breaker.Open || view.RetryBudget(&r, p.Now) != 8 || view.InFlight(&r, nil, p.Now) != 1 {
		t.Fatalf("before: got %v, budget %d, %d in flight; want open, 8, 1", r.Breaker.Status, view.RetryBudget(&r, p.Now),
			view.InFlight(&r, nil, p.Now))
	}
	moved, err := registry.ResetCluster(p.store, &registry.Entry{Cluster: "aws", Policy: *p.rules}, p.Now)
	if err != nil || moved != (registry.Transition{From: breaker.Open, To: breaker.Closed}) {
		t.Fatalf("got %+v (%v), want open to closed", moved, err)
	}
	if load(); r.Breaker.Status != breaker.Closed || r.Resets != 1 || view.RetryBudget(&r, p.Now) != 10 || view.InFlight(&r, nil, p.Now) != 1 {
		t.Fatalf("after: got %+v, budget %d, %d in flight; want closed, 1 reset, budget 10, 1 in flight", r,
			view.RetryBudget(&r, p.Now), view.InFlight(&r, nil, p.Now))
	}
	// admitted before the reset: it counts nowhere
	held.Respond(&request.Response{Status: 500, Details: requesttest.Upstream, GRPC: -1, Ended: true}, p.Now)
	held.Gone(requesttest.Upstream, 0, p.Now)
	if load(); r.Breaker.Failures != 0 || r.Breaker.Status != breaker.Closed || view.InFlight(&r, nil, p.Now) != 0 {
		t.Fatalf("after the last request: got %+v, want closed, no failures and 0 in flight", r)
	}
}

// fingerprint is that of a numbered key.
func fingerprint(n uint64) sharedstate.Fingerprint {
	return sharedstate.Fingerprint{Hi: n + 1, Lo: n*0x9E3779B185EBCA87 + 1}
}

// countingStore counts how often each key is read.
type countingStore struct {
	*sharedstate.Memory
	keys map[string]int
}

func (r *countingStore) Get(key string) ([]byte, uint32, error) {
	r.keys[key]++
	return r.Memory.Get(key)
}

// TestHeartbeatLooksAtClustersInTurn: its cost is bounded by the requests, and each cluster has its turn.
func TestHeartbeatLooksAtClustersInTurn(t *testing.T) {
	const clusters = 200
	store := &countingStore{sharedstate.NewMemory(), map[string]int{}}
	w := requesttest.NewWorker(t, store)
	raw := `{"clusters":{"*":{"circuit_breaker":{},"bulkhead":{}}}}`
	document := requesttest.Decode(t, raw)
	p := publish.New(w, document, nil)
	var all []*request.Cluster
	for i := range clusters {
		name := fmt.Sprintf("c%d", i)
		c := request.NewCluster(name, document.For(name), w, nil, nil, requesttest.Discard{})
		p.Add(c, document.For(name), &gauges{})
		all = append(all, c)
	}
	now := int64(sharedstate.HeartbeatEvery)
	heartbeat := func() (looked int) {
		t.Helper()
		clear(store.keys)
		if _, err := p.Heartbeat(now); err != nil {
			t.Fatal(err)
		}
		now += int64(sharedstate.HeartbeatEvery)
		for i := range clusters {
			looked += store.keys[sharedstate.ClusterKey(fmt.Sprintf("c%d", i))]
		}
		return looked
	}
	seen := map[string]bool{}
	for range 7 { // 32 of 200 each
		if n := heartbeat(); n != 32 {
			t.Errorf("without requests: got %d clusters looked at, want 32", n)
		}
		for key := range store.keys {
			seen[key] = true
		}
	}
	for i := range clusters {
		if key := sharedstate.ClusterKey(fmt.Sprintf("c%d", i)); !seen[key] {
			t.Errorf("got %s never read, want each read in its turn", key)
		}
	}
	last := all[clusters-1] // it is not its turn
	for range 160 {
		var req request.Request
		req.Begin(last, &request.Incoming{}, now)
		req.Gone(requesttest.ClientLeft, 0, now)
	}
	for _, want := range []int{33, 32} {
		if n := heartbeat(); n != want {
			t.Errorf("after 160 requests to one cluster: got %d clusters looked at, want %d", n, want)
		}
	}
	if _, err := registry.ForceBreaker(store, "c7", breaker.ForcedOpen, now); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{clusters, 32} {
		if n := heartbeat(); n != want {
			t.Errorf("after an operator's change: got %d clusters looked at, want %d", n, want)
		}
	}
}

// TestGaugesOfAnIdleCluster are not set again until its record changes, whatever worker changed it.
func TestGaugesOfAnIdleCluster(t *testing.T) {
	store := sharedstate.NewMemory()
	mine, theirs := &gauges{}, &gauges{}
	a := start(t, `{"circuit_breaker":{"failure_threshold":2},"bulkhead":{"max_concurrent":5}}`, store, mine)
	b := start(t, `{"circuit_breaker":{"failure_threshold":2},"bulkhead":{"max_concurrent":5}}`, store, theirs)
	a.heartbeat()
	mine.inFlight = 99 // it stays unless it is set again
	a.heartbeat()
	if mine.inFlight != 99 {
		t.Fatalf("idle: got the gauge set to %d, want it left at 99", mine.inFlight)
	}
	held, _ := b.Begin(request.Incoming{})
	a.heartbeat()
	if mine.inFlight != 1 {
		t.Fatalf("a request of another worker: got %d in flight, want 1", mine.inFlight)
	}
	mine.inFlight = 99
	a.heartbeat()
	if mine.inFlight != 1 {
		t.Fatalf("at the next heartbeat: got %d in flight, want 1: while requests run the gauge is always set, for their worker may be gone", mine.inFlight)
	}
	held.Gone(requesttest.ClientLeft, 0, b.Now)
	a.heartbeat()
	if mine.inFlight != 0 {
		t.Fatalf("after the request: got %d in flight, want 0", mine.inFlight)
	}
}

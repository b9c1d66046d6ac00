package publish_test

import (
	"fmt"
	"testing"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// dials are the gauges of a cluster, which all workers share.
type dials struct {
	breaker  breaker.Status
	inFlight uint32
	limit    float64
	ratio    float64
	noHost   bool
	sets     int // of noHost
}

func (d *dials) Breaker(s breaker.Status)   { d.breaker = s }
func (d *dials) InFlight(n uint32)          { d.inFlight = n }
func (d *dials) Limit(perMinute float64)    { d.limit = perMinute }
func (d *dials) SuccessRatio(ratio float64) { d.ratio = ratio }
func (d *dials) NoHealthyHost(none bool)    { d.noHost, d.sets = none, d.sets+1 }
func (d *dials) HasNoHealthyHost() bool     { return d.noHost }

func decoded(t *testing.T, document string) *policy.Document {
	t.Helper()
	d, err := policy.Decode([]byte(document), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// published is a worker with a publication of `aws`.
type published struct {
	*requesttest.Proxy
	store       sharedstate.Store
	rules       *policy.Policy
	publication *publish.Publisher
}

func publish(t *testing.T, rules string, store sharedstate.Store, d *dials) *published {
	t.Helper()
	raw := `{"clusters":{"aws":` + rules + `}}`
	document := decoded(t, raw)
	p := &published{proxy: requesttest.StartOn(t, rules, store), store: store, rules: document.For("aws")}
	p.publication = publish.New(p.Worker, []byte(raw), document, nil)
	p.publication.Add(p.Cluster, p.rules, d)
	return p
}

func (p *published) beat() {
	p.Helper()
	p.Now += int64(sharedstate.HeartbeatEvery)
	if err := p.Worker.Heartbeat(p.Now); err != nil {
		p.Fatal(err)
	}
	if _, err := p.publication.Beat(p.Now); err != nil {
		p.Fatal(err)
	}
}

func TestPublicationNamesItsClusters(t *testing.T) {
	store := sharedstate.NewMemory()
	worker, err := worker.New(store, [16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	raw := `{"clusters":{"a":{"bulkhead":{}},"b*":{},"off":{"mode":"off","bulkhead":{}}},"default":{}}`
	document := decoded(t, raw)
	p := publish.New(worker, []byte(raw), document, nil)
	listed := func(now int64) (names string) {
		t.Helper()
		if _, err := p.Beat(now); err != nil {
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
	if got := listed(1000); got != "a:0:true off:2:false " {
		t.Errorf("before any traffic: %s", got)
	}
	plan := flow.NewPlan("b1", document.For("b1"), worker, nil, requesttest.Discard{})
	p.Add(plan, document.For("b1"), &dials{})
	p.Forget()
	if got := listed(2000); got != "a:0:true off:2:false b1:0:false " {
		t.Errorf("after its first request: %s", got)
	}
}

func TestGauges(t *testing.T) {
	d := &dials{ratio: -1}
	p := publish(t, `{"circuit_breaker":{"failure_threshold":2},"bulkhead":{"max_concurrent":5},
		"rate_limit":{"algorithm":"adaptive","requests":100,"window_size":"10s","adaptive_interval":"1s","adaptive_min_samples":2,"backoff_factor":0.5}}`, sharedstate.NewMemory(), d)
	p.beat()
	if d.breaker != breaker.Closed || d.inFlight != 0 || d.limit != 600 || d.ratio != -1 {
		t.Fatalf("at first: %+v", d)
	}
	held, _ := p.Begin(request.Incoming{})
	p.RoundTrip(up, 500)
	p.Now += 1000 * ms
	p.RoundTrip(up, 500)
	p.beat()
	if d.breaker != breaker.Open || d.inFlight != 1 || d.limit != 300 || d.ratio != 0 {
		t.Fatalf("after failures: %+v", d)
	}
	held.Gone(requesttest.ClientLeft, 0, p.Now)
	p.beat()
	if d.inFlight != 0 {
		t.Fatalf("in the end: %+v", d)
	}
}

func TestNoHealthyHost(t *testing.T) {
	store, d := sharedstate.NewMemory(), &dials{}
	a, b := publish(t, `{}`, store, d), publish(t, `{}`, store, d)
	for _, tc := range []struct {
		who     *published
		details string
		status  int
		beat    bool
		want    bool
		sets    int
	}{
		{who: a, details: up, status: 200},
		{who: a, details: "no_healthy_upstream", status: 503, want: true, sets: 1},
		{who: a, details: "no_healthy_upstream", status: 503, want: true, sets: 1},
		{who: a, details: "upstream_reset_before_response_started{remote_connection_failure}", status: 503, want: true, sets: 1},
		{who: a, details: "direct_response", status: 200, want: true, sets: 1},
		{who: b, details: up, status: 200, want: true, sets: 1}, // it does not know yet what another worker has seen
		{who: b, details: up, status: 500, beat: true, sets: 2}, // an answer of a host, whatever it is
		{who: a, details: up, status: 200, sets: 3},
		{who: a, details: "no_healthy_upstream", status: 503, beat: true, want: true, sets: 4},
	} {
		if tc.beat {
			tc.who.beat()
		}
		tc.who.RoundTrip(tc.details, tc.status)
		if d.noHost != tc.want || d.sets != tc.sets {
			t.Fatalf("after %s: %v, set %d times; want %v, %d", tc.details, d.noHost, d.sets, tc.want, tc.sets)
		}
	}
}

// TestOperatorReset: breaker, limit, keys and budget are as fresh, what runs runs on.
func TestOperatorReset(t *testing.T) {
	for _, tc := range []struct{ name, rules string }{
		{"one limit", `{"rate_limit":{"requests":2,"window_size":"60s"}}`},
		{"a bucket", `{"rate_limit":{"algorithm":"token_bucket","burst_capacity":2,"refill_rate":0.001}}`},
		{"by key", `{"rate_limit":{"requests":2,"window_size":"60s","key":["path"]}}`},
		{"by key, with room for one", `{"rate_limit":{"requests":2,"window_size":"60s","key":["path"],"max_keys":1}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := publish(t, tc.rules, sharedstate.NewMemory(), &dials{})
			admitted := func() (n int) {
				for range 5 {
					for _, key := range []uint64{1, 2} {
						if _, step := p.Begin(request.Incoming{Key: keyOf(key)}); step.Kind == request.Continue {
							n++
						}
					}
				}
				return n
			}
			first := admitted()
			if again := admitted(); first < 2 || again != 0 {
				t.Fatalf("%d, then %d", first, again)
			}
			if _, err := p.Worker.Reset("aws", p.rules, p.Now); err != nil {
				t.Fatal(err)
			}
			if again := admitted(); again != first {
				t.Errorf("%d before, %d after a reset", first, again)
			}
		})
	}
	p := publish(t, `{"circuit_breaker":{"failure_threshold":1},"bulkhead":{"max_concurrent":2},"retry":{"budget":{"percent":0,"min_per_second":1}}}`, sharedstate.NewMemory(), &dials{})
	held, _ := p.Begin(request.Incoming{})
	x, _ := p.Begin(request.Incoming{Retry: true})
	x.Respond(&request.Response{Status: 500, Details: up, GRPC: -1, Ended: true, Attempts: 3}, p.Now)
	x.Gone(up, 3, p.Now)
	var r sharedstate.Record
	reading := registry.NewView(p.rules)
	load := func() {
		t.Helper()
		if _, err := sharedstate.NewCell(p.store, sharedstate.ClusterKey("aws"), &r).Load(); err != nil {
			t.Fatal(err)
		}
	}
	if load(); r.Breaker.Status != breaker.Open || reading.Budget(&r, p.Now) != 8 || reading.InFlight(&r, p.Now) != 1 {
		t.Fatalf("before: %v, budget %d, in flight %d", r.Breaker.Status, reading.Budget(&r, p.Now), reading.InFlight(&r, p.Now))
	}
	moved, err := p.Worker.Reset("aws", p.rules, p.Now)
	if err != nil || moved != (flow.Moved{From: breaker.Open, To: breaker.Closed}) {
		t.Fatalf("%+v (%v)", moved, err)
	}
	if load(); r.Breaker.Status != breaker.Closed || r.Resets != 1 || reading.Budget(&r, p.Now) != 10 || reading.InFlight(&r, p.Now) != 1 {
		t.Fatalf("after: %+v, budget %d, in flight %d", r, reading.Budget(&r, p.Now), reading.InFlight(&r, p.Now))
	}
	held.Respond(&request.Response{Status: 500, Details: up, GRPC: -1, Ended: true}, p.Now) // admitted before the reset: it says nothing now
	held.Gone(up, 0, p.Now)
	if load(); r.Breaker.Failures != 0 || r.Breaker.Status != breaker.Closed || reading.InFlight(&r, p.Now) != 0 {
		t.Fatalf("after the end of what ran: %+v", r)
	}
}

// reads counts how often each key is read.
type reads struct {
	*sharedstate.Memory
	keys map[string]int
}

func (r *reads) Get(key string) ([]byte, uint32, error) {
	r.keys[key]++
	return r.Memory.Get(key)
}

// TestManyClustersTakeTurns: what a beat costs is bounded by the requests, and no cluster is forgotten.
func TestManyClustersTakeTurns(t *testing.T) {
	const clusters = 200
	store := &reads{sharedstate.NewMemory(), map[string]int{}}
	worker, err := worker.New(store, [16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	raw := `{"clusters":{"*":{"circuit_breaker":{},"bulkhead":{}}}}`
	document := decoded(t, raw)
	p := publish.New(worker, []byte(raw), document, nil)
	var plans []*request.Cluster
	for i := range clusters {
		name := fmt.Sprintf("c%d", i)
		plan := flow.NewPlan(name, document.For(name), worker, nil, requesttest.Discard{})
		p.Add(plan, document.For(name), &dials{})
		plans = append(plans, plan)
	}
	now := int64(sharedstate.HeartbeatEvery)
	beat := func() (looked int) {
		t.Helper()
		clear(store.keys)
		if _, err := p.Beat(now); err != nil {
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
		if n := beat(); n != 32 {
			t.Errorf("a beat without requests looked at %d", n)
		}
		for key := range store.keys {
			seen[key] = true
		}
	}
	for i := range clusters {
		if key := sharedstate.ClusterKey(fmt.Sprintf("c%d", i)); !seen[key] {
			t.Errorf("%s was not looked at", key)
		}
	}
	var held request.Request
	last := plans[clusters-1] // not one that has its turn
	for range 160 {
		held.Begin(last, &request.Incoming{}, now)
		held.Gone(requesttest.ClientLeft, 0, now)
	}
	for _, want := range []int{33, 32} {
		if n := beat(); n != want {
			t.Errorf("after 160 requests it looked at %d, want %d", n, want)
		}
	}
	if _, err := worker.Force("c7", breaker.ForcedOpen, now); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{clusters, 32} {
		if n := beat(); n != want {
			t.Errorf("after an operator's act it looked at %d, want %d", n, want)
		}
	}
}

// TestRestingGaugesAreLeftAlone until the record changes, whoever changed it.
func TestRestingGaugesAreLeftAlone(t *testing.T) {
	store := sharedstate.NewMemory()
	mine, theirs := &dials{}, &dials{}
	a := publish(t, `{"circuit_breaker":{"failure_threshold":2},"bulkhead":{"max_concurrent":5}}`, store, mine)
	b := publish(t, `{"circuit_breaker":{"failure_threshold":2},"bulkhead":{"max_concurrent":5}}`, store, theirs)
	a.beat()
	mine.inFlight = 99 // what nobody shows stays
	a.beat()
	if mine.inFlight != 99 {
		t.Fatal("a cluster at rest was shown again")
	}
	held, _ := b.Begin(request.Incoming{})
	a.beat()
	if mine.inFlight != 1 {
		t.Fatalf("in flight: %d, want what another worker holds", mine.inFlight)
	}
	mine.inFlight = 99
	a.beat()
	if mine.inFlight != 1 {
		t.Fatal("while something is in flight it is shown at each beat: its worker may be gone")
	}
	held.Gone(requesttest.ClientLeft, 0, b.Now)
	a.beat()
	if mine.inFlight != 0 {
		t.Fatalf("in flight: %d in the end", mine.inFlight)
	}
}

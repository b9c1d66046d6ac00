package flow_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/weir-mesh/weir/filter/flow"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/directory"
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
	*proxy
	store       sharedstate.Store
	rules       *policy.Policy
	publication *flow.Publication
}

func publish(t *testing.T, rules string, store sharedstate.Store, d *dials) *published {
	t.Helper()
	raw := `{"clusters":{"aws":` + rules + `}}`
	document := decoded(t, raw)
	p := &published{proxy: startOn(t, rules, store), store: store, rules: document.For("aws")}
	p.publication = flow.NewPublication(p.worker, []byte(raw), document, nil)
	p.publication.Add(p.plan, p.rules, d)
	return p
}

func (p *published) beat() {
	p.Helper()
	p.now += int64(flow.BeatEvery)
	if err := p.worker.Beat(p.now); err != nil {
		p.Fatal(err)
	}
	if _, err := p.publication.Beat(p.now); err != nil {
		p.Fatal(err)
	}
}

func TestPublicationNamesItsClusters(t *testing.T) {
	store := sharedstate.NewMemory()
	worker, err := flow.NewWorker(store, [16]byte{})
	if err != nil {
		t.Fatal(err)
	}
	raw := `{"clusters":{"a":{"bulkhead":{}},"b*":{},"off":{"mode":"off","bulkhead":{}}},"default":{}}`
	document := decoded(t, raw)
	p := flow.NewPublication(worker, []byte(raw), document, nil)
	listed := func(now int64) (names string) {
		t.Helper()
		if _, err := p.Beat(now); err != nil {
			t.Fatal(err)
		}
		l, err := directory.Read(store, now)
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
	plan := flow.NewPlan("b1", document.For("b1"), worker, nil, silent{})
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
	held, _ := p.begin(flow.Request{})
	p.ask(up, 500)
	p.now += 1000 * ms
	p.ask(up, 500)
	p.beat()
	if d.breaker != breaker.Open || d.inFlight != 1 || d.limit != 300 || d.ratio != 0 {
		t.Fatalf("after failures: %+v", d)
	}
	held.Done("downstream_remote_disconnect", 0, p.now)
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
		tc.who.ask(tc.details, tc.status)
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
						if _, step := p.begin(flow.Request{Key: keyOf(key)}); step.Kind == flow.Continue {
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
			if _, err := p.worker.Reset("aws", p.rules, p.now); err != nil {
				t.Fatal(err)
			}
			if again := admitted(); again != first {
				t.Errorf("%d before, %d after a reset", first, again)
			}
		})
	}
	p := publish(t, `{"circuit_breaker":{"failure_threshold":1},"bulkhead":{"max_concurrent":2},"retry":{"budget":{"percent":0,"min_per_second":1}}}`, sharedstate.NewMemory(), &dials{})
	held, _ := p.begin(flow.Request{})
	x, _ := p.begin(flow.Request{Retry: true})
	x.Answer(flow.Answer{Status: 500, Details: up, GRPC: -1, Ended: true, Tries: 3}, p.now)
	x.Done(up, 3, p.now)
	var r sharedstate.Record
	reading := flow.NewReading(p.rules)
	load := func() {
		t.Helper()
		if _, err := sharedstate.NewCell(p.store, sharedstate.ClusterKey("aws"), &r).Load(); err != nil {
			t.Fatal(err)
		}
	}
	if load(); r.Breaker.Status != breaker.Open || reading.Budget(&r, p.now) != 8 || reading.InFlight(&r, p.now) != 1 {
		t.Fatalf("before: %v, budget %d, in flight %d", r.Breaker.Status, reading.Budget(&r, p.now), reading.InFlight(&r, p.now))
	}
	moved, err := p.worker.Reset("aws", p.rules, p.now)
	if err != nil || moved != (flow.Moved{From: breaker.Open, To: breaker.Closed}) {
		t.Fatalf("%+v (%v)", moved, err)
	}
	if load(); r.Breaker.Status != breaker.Closed || r.Resets != 1 || reading.Budget(&r, p.now) != 10 || reading.InFlight(&r, p.now) != 1 {
		t.Fatalf("after: %+v, budget %d, in flight %d", r, reading.Budget(&r, p.now), reading.InFlight(&r, p.now))
	}
	held.Answer(flow.Answer{Status: 500, Details: up, GRPC: -1, Ended: true}, p.now) // admitted before the reset: it says nothing now
	held.Done(up, 0, p.now)
	if load(); r.Breaker.Failures != 0 || r.Breaker.Status != breaker.Closed || reading.InFlight(&r, p.now) != 0 {
		t.Fatalf("after the end of what ran: %+v", r)
	}
}

// TestMeshResetReachesRedisOnce, whatever the number of workers, and is tried again where it failed.
func TestMeshResetReachesRedisOnce(t *testing.T) {
	server, store := miniredis.RunT(t), sharedstate.NewMemory()
	rules := fmt.Sprintf(meshed, 4, "")
	raw := `{"clusters":{"aws":` + rules + `},"redis":{}}`
	document := decoded(t, raw)
	a, b := joinOn(t, server, rules, "", store), joinOn(t, server, rules, "", store)
	var publications []*flow.Publication
	for _, m := range []*member{a, b} {
		p := flow.NewPublication(m.worker, []byte(raw), document, m.mesh)
		p.Add(m.plan, document.For("aws"), &dials{})
		publications = append(publications, p)
	}
	beat := func() {
		t.Helper()
		for i, m := range []*member{a, b} {
			m.now += int64(flow.BeatEvery) / 100 // the window is 1 s
			if _, err := publications[i].Beat(m.now); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill := func(m *member) (got string) {
		for stream := range uint32(6) {
			if _, did := m.asks(stream); did != "waits" {
				m.resumed = append(m.resumed, did)
			}
			m.mesh.Calls(m.now)
			m.answer()
		}
		got, m.resumed = strings.Join(m.resumed, " "), nil
		return got
	}
	if got := fill(a); strings.Count(got, "on") != 4 {
		t.Fatalf("before: %s", got)
	}
	beat()
	if _, err := a.worker.Reset("aws", document.For("aws"), a.now); err != nil {
		t.Fatal(err)
	}
	a.refuses = errors.New("no such cluster")
	beat()
	if len(a.calls)+len(b.calls) != 0 || a.results["failed"] != 1 {
		t.Fatalf("%d and %d calls, %v", len(a.calls), len(b.calls), a.results)
	}
	a.refuses = nil
	beat()
	beat() // while it is out, it is not sent again
	if len(a.calls) != 1 || len(b.calls) != 0 {
		t.Fatalf("%d and %d calls", len(a.calls), len(b.calls))
	}
	a.lose()
	beat()
	a.answer()
	beat()
	if len(a.calls)+len(b.calls) != 0 || a.results["forgotten"] != 1 || b.results["forgotten"] != 0 {
		t.Fatalf("%v and %v", a.results, b.results)
	}
	if got := fill(b); strings.Count(got, "on") != 4 {
		t.Errorf("after: %s", got)
	}
	if got := fill(a); strings.Count(got, "on") != 0 {
		t.Errorf("one limit for both: %s", got)
	}
}

// TestMeshResetThatNeverReachesRedis is said once, when it is given up: after 30 tries.
func TestMeshResetThatNeverReachesRedis(t *testing.T) {
	for name, beaten := range map[string]func(*member){
		"no call is made":     func(m *member) { m.refuses = errors.New("no such cluster") },
		"no call is answered": func(m *member) { m.lose() },
		"no call has an end":  func(m *member) { clear(m.calls) },
		"no answer is of Redis": func(m *member) {
			for id := range m.calls {
				delete(m.calls, id)
				m.mesh.Answered(id, 200, []byte("<html>"), m.now)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			rules := fmt.Sprintf(meshed, 4, "")
			raw := `{"clusters":{"aws":` + rules + `},"redis":{}}`
			document := decoded(t, raw)
			m := joinOn(t, nil, rules, "", sharedstate.NewMemory())
			p := flow.NewPublication(m.worker, []byte(raw), document, m.mesh)
			p.Add(m.plan, document.For("aws"), &dials{})
			if _, err := p.Beat(m.now); err != nil {
				t.Fatal(err)
			}
			if _, err := m.worker.Reset("aws", document.For("aws"), m.now); err != nil {
				t.Fatal(err)
			}
			beaten(m)
			for beat := range 200 {
				m.now += int64(flow.BeatEvery)
				m.mesh.Calls(m.now)
				if _, err := p.Beat(m.now); err != nil {
					t.Fatal(err)
				}
				beaten(m)
				if beat < 28 && len(m.seen.events) != 0 {
					t.Fatalf("beat %d: %v", beat, m.seen.events)
				}
			}
			if want := []string{"fault " + flow.ErrResetGivenUp.Error()}; !slices.Equal(m.seen.events, want) {
				t.Errorf("got %v, want %v", m.seen.events, want)
			}
		})
	}
}

// TestToldOfAMesh: what Redis told one worker is in the status that any can read.
func TestToldOfAMesh(t *testing.T) {
	store := sharedstate.NewMemory()
	rules := fmt.Sprintf(meshed, 10, "")
	raw := `{"clusters":{"aws":` + rules + `},"redis":{}}`
	document := decoded(t, raw)
	m := joinOn(t, miniredis.RunT(t), rules, "", store)
	p, d := flow.NewPublication(m.worker, []byte(raw), document, m.mesh), &dials{}
	p.Add(m.plan, document.For("aws"), d)
	for stream := range uint32(4) {
		m.asks(stream)
	}
	m.mesh.Calls(m.now)
	m.answer()
	if _, err := p.Beat(m.now); err != nil {
		t.Fatal(err)
	}
	var told directory.Told
	if _, err := sharedstate.NewCell(store, directory.ToldKey("aws"), &told).Load(); err != nil || told.Limit != 10 || told.Remaining != 6 || d.limit != 600 {
		t.Fatalf("%+v, gauge %v (%v)", told, d.limit, err)
	}
	reading := flow.NewReading(document.For("aws"))
	for _, tc := range []struct{ later, remaining int64 }{{0, 6}, {999 * ms, 6}, {1000 * ms, 10}} {
		if n := reading.Limit(&sharedstate.Record{}, &told, m.now+tc.later); n.Remaining != tc.remaining || !n.RemainingKnown {
			t.Errorf("%d ms later: %+v", tc.later/ms, n)
		}
	}
	var calls directory.Calls
	if _, err := sharedstate.NewCell(store, directory.CallsKey, &calls).Load(); err != nil || calls.OK != m.now || calls.Trouble() {
		t.Errorf("%+v (%v)", calls, err)
	}
}

// TestToldByAnotherRedis: a server whose clock is an hour behind takes over. The worker that has not asked it yet does not
// bring back what the first one told.
func TestToldByAnotherRedis(t *testing.T) {
	store := sharedstate.NewMemory()
	rules := fmt.Sprintf(meshed, 10, "")
	raw := `{"clusters":{"aws":` + rules + `},"redis":{}}`
	document := decoded(t, raw)
	a, b := joinOn(t, miniredis.RunT(t), rules, "", store), joinOn(t, miniredis.RunT(t), rules, "", store)
	b.behind = 3_600_000 * ms
	publish := func(m *member) func() {
		p := flow.NewPublication(m.worker, []byte(raw), document, m.mesh)
		p.Add(m.plan, document.For("aws"), &dials{})
		return func() {
			t.Helper()
			if _, err := p.Beat(m.now); err != nil {
				t.Fatal(err)
			}
		}
	}
	beatA, beatB := publish(a), publish(b)
	ask := func(m *member, n uint32) {
		for stream := range n {
			m.asks(stream)
		}
		m.mesh.Calls(m.now)
		m.answer()
	}
	ask(a, 4)
	beatA()
	a.now += 120_000 * ms
	b.now = a.now
	ask(b, 1)
	beatB()
	for range 2 { // it hears of it, and could speak against it
		a.now += 1000 * ms
		beatA()
	}
	var told directory.Told
	if _, err := sharedstate.NewCell(store, directory.ToldKey("aws"), &told).Load(); err != nil || told.Remaining != 9 {
		t.Errorf("%+v (%v), want what the new server told", told, err)
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
	worker, err := flow.NewWorker(store, [16]byte{})
	if err != nil {
		t.Fatal(err)
	}
	raw := `{"clusters":{"*":{"circuit_breaker":{},"bulkhead":{}}}}`
	document := decoded(t, raw)
	p := flow.NewPublication(worker, []byte(raw), document, nil)
	var plans []*flow.Plan
	for i := range clusters {
		name := fmt.Sprintf("c%d", i)
		plan := flow.NewPlan(name, document.For(name), worker, nil, silent{})
		p.Add(plan, document.For(name), &dials{})
		plans = append(plans, plan)
	}
	now := int64(flow.BeatEvery)
	beat := func() (looked int) {
		t.Helper()
		clear(store.keys)
		if _, err := p.Beat(now); err != nil {
			t.Fatal(err)
		}
		now += int64(flow.BeatEvery)
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
	var held flow.Exchange
	last := plans[clusters-1] // not one that has its turn
	for range 160 {
		held.Begin(last, flow.Request{}, now)
		held.Done("downstream_remote_disconnect", 0, now)
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
	held, _ := b.begin(flow.Request{})
	a.beat()
	if mine.inFlight != 1 {
		t.Fatalf("in flight: %d, want what another worker holds", mine.inFlight)
	}
	mine.inFlight = 99
	a.beat()
	if mine.inFlight != 1 {
		t.Fatal("while something is in flight it is shown at each beat: its worker may be gone")
	}
	held.Done("downstream_remote_disconnect", 0, b.now)
	a.beat()
	if mine.inFlight != 0 {
		t.Fatalf("in flight: %d in the end", mine.inFlight)
	}
}

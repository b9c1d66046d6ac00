package flow_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/weir-mesh/weir/filter/flow"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

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
	if _, err := registry.ResetCluster(store, "aws", document.For("aws"), a.now); err != nil {
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
			store := sharedstate.NewMemory()
			m := joinOn(t, nil, rules, "", store)
			p := flow.NewPublication(m.worker, []byte(raw), document, m.mesh)
			p.Add(m.plan, document.For("aws"), &dials{})
			if _, err := p.Beat(m.now); err != nil {
				t.Fatal(err)
			}
			if _, err := registry.ResetCluster(store, "aws", document.For("aws"), m.now); err != nil {
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
				if beat < 28 && m.results["not forgotten"] != 0 {
					t.Fatalf("beat %d: %v", beat, m.results)
				}
			}
			if m.results["not forgotten"] != 1 || m.results["forgotten"] != 0 {
				t.Error(m.results)
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
	told, err := registry.ReadRedisView(store, "aws")
	if err != nil || told.Limit != 10 || told.Remaining != 6 || d.limit != 600 {
		t.Fatalf("%+v, gauge %v (%v)", told, d.limit, err)
	}
	reading := registry.NewView(document.For("aws"))
	for _, tc := range []struct{ later, remaining int64 }{{0, 6}, {999 * ms, 6}, {1000 * ms, 10}} {
		if n := reading.Limit(&sharedstate.Record{}, &told, m.now+tc.later); n.Remaining != tc.remaining || !n.RemainingKnown {
			t.Errorf("%d ms later: %+v", tc.later/ms, n)
		}
	}
	calls, err := registry.ReadRedisCalls(store)
	if err != nil || calls.LastOK != m.now || calls.Failing() {
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
	told, err := registry.ReadRedisView(store, "aws")
	if err != nil || told.Remaining != 9 {
		t.Errorf("%+v (%v), want what the new server told", told, err)
	}
}

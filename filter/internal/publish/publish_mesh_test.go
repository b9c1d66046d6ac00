package publish_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// TestMeshResetReachesRedisOnce, whatever the number of workers, and is tried again where it failed.
func TestMeshResetReachesRedisOnce(t *testing.T) {
	server, store := miniredis.RunT(t), sharedstate.NewMemory()
	rules := fmt.Sprintf(meshed, 4, "")
	raw := `{"clusters":{"aws":` + rules + `},"redis":{}}`
	document := decoded(t, raw)
	a, b := requesttest.JoinMeshOn(t, server, rules, "", store), requesttest.JoinMeshOn(t, server, rules, "", store)
	var publications []*publish.Publisher
	for _, m := range []*requesttest.MeshProxy{a, b} {
		p := publish.New(m.Worker, []byte(raw), document, m.Client)
		p.Add(m.Cluster, document.For("aws"), &dials{})
		publications = append(publications, p)
	}
	beat := func() {
		t.Helper()
		for i, m := range []*requesttest.MeshProxy{a, b} {
			m.Now += int64(sharedstate.HeartbeatEvery) / 100 // the window is 1 s
			if _, err := publications[i].Beat(m.Now); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill := func(m *requesttest.MeshProxy) (got string) {
		for stream := range uint32(6) {
			if _, did := m.BeginStream(stream); did != "paused" {
				m.Resumed = append(m.Resumed, did)
			}
			m.Client.Call(m.Now)
			m.Answer()
		}
		got, m.Resumed = strings.Join(m.Resumed, " "), nil
		return got
	}
	if got := fill(a); strings.Count(got, "continue") != 4 {
		t.Fatalf("before: %s", got)
	}
	beat()
	if _, err := a.Worker.Reset("aws", document.For("aws"), a.Now); err != nil {
		t.Fatal(err)
	}
	a.SendError = errors.New("no such cluster")
	beat()
	if len(a.Calls)+len(b.Calls) != 0 || a.Counts["failed"] != 1 {
		t.Fatalf("%d and %d calls, %v", len(a.Calls), len(b.Calls), a.Counts)
	}
	a.SendError = nil
	beat()
	beat() // while it is out, it is not sent again
	if len(a.Calls) != 1 || len(b.Calls) != 0 {
		t.Fatalf("%d and %d calls", len(a.Calls), len(b.Calls))
	}
	a.Lose()
	beat()
	a.Answer()
	beat()
	if len(a.Calls)+len(b.Calls) != 0 || a.Counts["reset done"] != 1 || b.Counts["reset done"] != 0 {
		t.Fatalf("%v and %v", a.Counts, b.Counts)
	}
	if got := fill(b); strings.Count(got, "continue") != 4 {
		t.Errorf("after: %s", got)
	}
	if got := fill(a); strings.Count(got, "continue") != 0 {
		t.Errorf("one limit for both: %s", got)
	}
}

// TestMeshResetThatNeverReachesRedis is said once, when it is given up: after 30 tries.
func TestMeshResetThatNeverReachesRedis(t *testing.T) {
	for name, beaten := range map[string]func(*requesttest.MeshProxy){
		"no call is made":     func(m *requesttest.MeshProxy) { m.SendError = errors.New("no such cluster") },
		"no call is answered": func(m *requesttest.MeshProxy) { m.Lose() },
		"no call has an end":  func(m *requesttest.MeshProxy) { clear(m.Calls) },
		"no answer is of Redis": func(m *requesttest.MeshProxy) {
			for id := range m.Calls {
				delete(m.Calls, id)
				m.Client.Ended(id, 200, []byte("<html>"), m.Now)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			rules := fmt.Sprintf(meshed, 4, "")
			raw := `{"clusters":{"aws":` + rules + `},"redis":{}}`
			document := decoded(t, raw)
			m := requesttest.JoinMeshOn(t, nil, rules, "", sharedstate.NewMemory())
			p := publish.New(m.Worker, []byte(raw), document, m.Client)
			p.Add(m.Cluster, document.For("aws"), &dials{})
			if _, err := p.Beat(m.Now); err != nil {
				t.Fatal(err)
			}
			if _, err := m.Worker.Reset("aws", document.For("aws"), m.Now); err != nil {
				t.Fatal(err)
			}
			beaten(m)
			for beat := range 200 {
				m.Now += int64(sharedstate.HeartbeatEvery)
				m.Client.Call(m.Now)
				if _, err := p.Beat(m.Now); err != nil {
					t.Fatal(err)
				}
				beaten(m)
				if beat < 28 && m.Counts["reset failed"] != 0 {
					t.Fatalf("beat %d: %v", beat, m.Counts)
				}
			}
			if m.Counts["reset failed"] != 1 || m.Counts["reset done"] != 0 {
				t.Error(m.Counts)
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
	m := requesttest.JoinMeshOn(t, miniredis.RunT(t), rules, "", store)
	p, d := publish.New(m.Worker, []byte(raw), document, m.Client), &dials{}
	p.Add(m.Cluster, document.For("aws"), d)
	for stream := range uint32(4) {
		m.BeginStream(stream)
	}
	m.Client.Call(m.Now)
	m.Answer()
	if _, err := p.Beat(m.Now); err != nil {
		t.Fatal(err)
	}
	var told registry.RedisView
	if _, err := sharedstate.NewCell(store, directory.ToldKey("aws"), &told).Load(); err != nil || told.Limit != 10 || told.Remaining != 6 || d.limit != 600 {
		t.Fatalf("%+v, gauge %v (%v)", told, d.limit, err)
	}
	reading := registry.NewView(document.For("aws"))
	for _, tc := range []struct{ later, remaining int64 }{{0, 6}, {999 * ms, 6}, {1000 * ms, 10}} {
		if n := reading.Limit(&sharedstate.Record{}, &told, m.Now+tc.later); n.Remaining != tc.remaining || !n.RemainingKnown {
			t.Errorf("%d ms later: %+v", tc.later/ms, n)
		}
	}
	var calls directory.Calls
	if _, err := sharedstate.NewCell(store, directory.CallsKey, &calls).Load(); err != nil || calls.OK != m.Now || calls.Trouble() {
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
	a, b := requesttest.JoinMeshOn(t, miniredis.RunT(t), rules, "", store), requesttest.JoinMeshOn(t, miniredis.RunT(t), rules, "", store)
	b.ClockLag = 3_600_000 * ms
	publish := func(m *requesttest.MeshProxy) func() {
		p := publish.New(m.Worker, []byte(raw), document, m.Client)
		p.Add(m.Cluster, document.For("aws"), &dials{})
		return func() {
			t.Helper()
			if _, err := p.Beat(m.Now); err != nil {
				t.Fatal(err)
			}
		}
	}
	beatA, beatB := publish(a), publish(b)
	ask := func(m *requesttest.MeshProxy, n uint32) {
		for stream := range n {
			m.BeginStream(stream)
		}
		m.Client.Call(m.Now)
		m.Answer()
	}
	ask(a, 4)
	beatA()
	a.Now += 120_000 * ms
	b.Now = a.Now
	ask(b, 1)
	beatB()
	for range 2 { // it hears of it, and could speak against it
		a.Now += 1000 * ms
		beatA()
	}
	var told registry.RedisView
	if _, err := sharedstate.NewCell(store, directory.ToldKey("aws"), &told).Load(); err != nil || told.Remaining != 9 {
		t.Errorf("%+v (%v), want what the new server told", told, err)
	}
}

package publish_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/weir-mesh/weir/filter/internal/publish"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

const meshLimit = `{"rate_limit":{"requests":%d,"window_size":"1s","scope":"mesh"}%s}`

// TestMeshResetReachesRedisOnce, whatever the number of workers, and is repeated after a failure.
func TestMeshResetReachesRedisOnce(t *testing.T) {
	server, store := miniredis.RunT(t), sharedstate.NewMemory()
	rules := fmt.Sprintf(meshLimit, 4, "")
	raw := `{"clusters":{"aws":` + rules + `},"redis":{}}`
	document := requesttest.Decode(t, raw)
	a, b := requesttest.JoinMeshOn(t, server, rules, "", store), requesttest.JoinMeshOn(t, server, rules, "", store)
	var publishers []*publish.Publisher
	for _, m := range []*requesttest.MeshProxy{a, b} {
		p := publish.New(m.Worker, document, m.Client)
		p.Add(m.Cluster, document.For("aws"), &gauges{})
		publishers = append(publishers, p)
	}
	heartbeat := func() {
		t.Helper()
		for i, m := range []*requesttest.MeshProxy{a, b} {
			m.Now += int64(sharedstate.HeartbeatEvery) / 100 // the window is 1 s
			if _, err := publishers[i].Heartbeat(m.Now); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill := func(m *requesttest.MeshProxy) (got string) {
		for stream := range uint32(6) {
			if _, did := m.BeginStream(stream); did != "paused" {
				m.Resumed = append(m.Resumed, did)
			}
			m.Client.MakeCalls(m.Now)
			m.Answer()
		}
		got, m.Resumed = strings.Join(m.Resumed, " "), nil
		return got
	}
	if got := fill(a); strings.Count(got, "continue") != 4 {
		t.Fatalf("before: got %s, want 4 to continue", got)
	}
	heartbeat()
	if _, err := registry.ResetCluster(store, &registry.Entry{Cluster: "aws", Policy: *document.For("aws")}, a.Now); err != nil {
		t.Fatal(err)
	}
	a.SendError = errors.New("no such cluster")
	heartbeat()
	if len(a.Calls)+len(b.Calls) != 0 || a.Counts["failed"] != 1 {
		t.Fatalf("no call can be made: got %d and %d calls, counts %v; want none, 1 failed", len(a.Calls), len(b.Calls), a.Counts)
	}
	a.SendError = nil
	heartbeat()
	heartbeat() // while the call is out, no other is made
	if len(a.Calls) != 1 || len(b.Calls) != 0 {
		t.Fatalf("got %d and %d calls out, want 1 of the first worker", len(a.Calls), len(b.Calls))
	}
	a.Lose()
	heartbeat()
	a.Answer()
	heartbeat()
	if len(a.Calls)+len(b.Calls) != 0 || a.Counts["reset done"] != 1 || b.Counts["reset done"] != 0 {
		t.Fatalf("got counts %v and %v, want reset done by the first worker", a.Counts, b.Counts)
	}
	if got := fill(b); strings.Count(got, "continue") != 4 {
		t.Errorf("after: got %s, want 4 to continue", got)
	}
	if got := fill(a); strings.Count(got, "continue") != 0 {
		t.Errorf("the other worker, limit used up: got %s, want none to continue", got)
	}
}

// TestMeshResetThatNeverReachesRedis is reported once, when it is given up: after 30 tries.
func TestMeshResetThatNeverReachesRedis(t *testing.T) {
	for name, fail := range map[string]func(*requesttest.MeshProxy){
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
			store := sharedstate.NewMemory()
			rules := fmt.Sprintf(meshLimit, 4, "")
			raw := `{"clusters":{"aws":` + rules + `},"redis":{}}`
			document := requesttest.Decode(t, raw)
			m := requesttest.JoinMeshOn(t, nil, rules, "", store)
			p := publish.New(m.Worker, document, m.Client)
			p.Add(m.Cluster, document.For("aws"), &gauges{})
			if _, err := p.Heartbeat(m.Now); err != nil {
				t.Fatal(err)
			}
			if _, err := registry.ResetCluster(store, &registry.Entry{Cluster: "aws", Policy: *document.For("aws")}, m.Now); err != nil {
				t.Fatal(err)
			}
			fail(m)
			for i := range 200 {
				m.Now += int64(sharedstate.HeartbeatEvery)
				m.Client.MakeCalls(m.Now)
				if _, err := p.Heartbeat(m.Now); err != nil {
					t.Fatal(err)
				}
				fail(m)
				if i < 28 && m.Counts["reset failed"] != 0 {
					t.Fatalf("heartbeat %d: got counts %v, want the reset still tried", i, m.Counts)
				}
			}
			if m.Counts["reset failed"] != 1 || m.Counts["reset done"] != 0 {
				t.Errorf("got counts %v, want 1 reset failed", m.Counts)
			}
		})
	}
}

// TestRedisViewIsPublished: what Redis replied to one worker is in the registry, which any can read.
func TestRedisViewIsPublished(t *testing.T) {
	store := sharedstate.NewMemory()
	rules := fmt.Sprintf(meshLimit, 10, "")
	raw := `{"clusters":{"aws":` + rules + `},"redis":{}}`
	document := requesttest.Decode(t, raw)
	m := requesttest.JoinMeshOn(t, miniredis.RunT(t), rules, "", store)
	p, g := publish.New(m.Worker, document, m.Client), &gauges{}
	p.Add(m.Cluster, document.For("aws"), g)
	for stream := range uint32(4) {
		m.BeginStream(stream)
	}
	m.Client.MakeCalls(m.Now)
	m.Answer()
	if _, err := p.Heartbeat(m.Now); err != nil {
		t.Fatal(err)
	}
	redis, err := registry.ReadRedisView(store, "aws", document.For("aws").RateLimit)
	if err != nil || redis.Limit != 10 || redis.Remaining != 6 || g.limit != 600 {
		t.Fatalf("got %+v (%v), gauge %v; want limit 10, remaining 6, gauge 600", redis, err, g.limit)
	}
	view := registry.NewView(document.For("aws"))
	for _, tc := range []struct{ later, remaining int64 }{{0, 6}, {999 * ms, 6}, {1000 * ms, 10}} {
		if n := view.Limit(&sharedstate.Record{}, &redis, m.Now+tc.later); n.Remaining != tc.remaining || !n.RemainingKnown {
			t.Errorf("%d ms later: got %+v, want %d remaining", tc.later/ms, n, tc.remaining)
		}
	}
	calls, err := registry.ReadRedisCalls(store)
	if err != nil || calls.LastOK != m.Now || calls.Failing() {
		t.Errorf("got %+v (%v), want the last success at %d and not failing", calls, err, m.Now)
	}
}

// TestRedisViewOfAnotherServer: a server whose clock is an hour behind takes over. The worker that has not called it
// yet does not publish the first server's reply again.
func TestRedisViewOfAnotherServer(t *testing.T) {
	store := sharedstate.NewMemory()
	rules := fmt.Sprintf(meshLimit, 10, "")
	raw := `{"clusters":{"aws":` + rules + `},"redis":{}}`
	document := requesttest.Decode(t, raw)
	a, b := requesttest.JoinMeshOn(t, miniredis.RunT(t), rules, "", store), requesttest.JoinMeshOn(t, miniredis.RunT(t), rules, "", store)
	b.ClockLag = 3_600_000 * ms
	add := func(m *requesttest.MeshProxy) (heartbeat func()) {
		p := publish.New(m.Worker, document, m.Client)
		p.Add(m.Cluster, document.For("aws"), &gauges{})
		return func() {
			t.Helper()
			if _, err := p.Heartbeat(m.Now); err != nil {
				t.Fatal(err)
			}
		}
	}
	heartbeatA, heartbeatB := add(a), add(b)
	ask := func(m *requesttest.MeshProxy, n uint32) {
		for stream := range n {
			m.BeginStream(stream)
		}
		m.Client.MakeCalls(m.Now)
		m.Answer()
	}
	ask(a, 4)
	heartbeatA()
	a.Now += 120_000 * ms
	b.Now = a.Now
	ask(b, 1)
	heartbeatB()
	for range 2 { // it has read the new view, and could replace it
		a.Now += 1000 * ms
		heartbeatA()
	}
	if view, err := registry.ReadRedisView(store, "aws", document.For("aws").RateLimit); err != nil || view.Remaining != 9 {
		t.Errorf("got %+v (%v), want 9 remaining, the new server's reply", view, err)
	}
}

// TestRedisViewsOfTwoListeners: two listeners hold different numbers for one count. What is shown of each is Redis's reply
// to it, whichever replied last.
func TestRedisViewsOfTwoListeners(t *testing.T) {
	store, server := sharedstate.NewMemory(), miniredis.RunT(t)
	type listener struct {
		limit     int64
		rules     *policy.RateLimit
		proxy     *requesttest.MeshProxy
		publisher *publish.Publisher
		gauges    *gauges
	}
	listeners := []*listener{{limit: 10}, {limit: 100}}
	for _, l := range listeners {
		rules := fmt.Sprintf(`{"rate_limit":{"requests":%d,"window_size":"60s","scope":"mesh","lease":{"max_tokens":1}}}`, l.limit)
		raw := `{"clusters":{"aws":` + rules + `},"redis":{}}`
		document := requesttest.Decode(t, raw)
		l.rules, l.gauges = document.For("aws").RateLimit, &gauges{}
		l.proxy = requesttest.JoinMeshOn(t, server, rules, "", store)
		l.publisher = publish.New(l.proxy.Worker, document, l.proxy.Client)
		l.publisher.Add(l.proxy.Cluster, document.For("aws"), l.gauges)
	}
	stream := uint32(0)
	for range 3 { // in turn: the second is asked last
		for _, l := range listeners {
			stream++
			l.proxy.BeginStream(stream)
			l.proxy.Client.MakeCalls(l.proxy.Now)
			l.proxy.Answer()
		}
	}
	for range 2 {
		for _, l := range listeners {
			l.proxy.Now += 1000 * ms
			if _, err := l.publisher.Heartbeat(l.proxy.Now); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, l := range listeners {
		view, err := registry.ReadRedisView(store, "aws", l.rules)
		// The first was asked for the last time before the second was.
		if want := l.limit - 6; err != nil || view.Limit != l.limit || view.Remaining != want && view.Remaining != want+1 {
			t.Errorf("limit of %d: got %+v (%v), want its own limit and %d remaining, or one more", l.limit, view, err, want)
		}
		if want := uint64(l.limit); uint64(l.gauges.limit) != want {
			t.Errorf("limit of %d: got a gauge of %v, want %d", l.limit, l.gauges.limit, want)
		}
	}
}

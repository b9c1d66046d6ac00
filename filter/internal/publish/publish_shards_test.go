package publish_test

import (
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/weir-mesh/weir/filter/internal/publish"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// TestResetOfShards: a reset deletes all shards of a limit, one after another, and what Redis said of them is published as one
// limit.
func TestResetOfShards(t *testing.T) {
	server, store := miniredis.RunT(t), sharedstate.NewMemory()
	rules := `{"rate_limit":{"requests":9,"window_size":"60s","scope":"mesh","shards":3}}`
	document := requesttest.Decode(t, `{"clusters":{"aws":`+rules+`},"redis":{}}`)
	m := requesttest.JoinMeshOn(t, server, rules, "", store)
	p := publish.New(m.Worker, document, m.Client)
	p.Add(m.Cluster, document.For("aws"), &gauges{})
	heartbeat := func() {
		m.Now += int64(sharedstate.HeartbeatEvery)
		if _, err := p.Heartbeat(m.Now); err != nil {
			t.Fatal(err)
		}
	}
	for stream := uint32(1); stream <= 8; stream++ {
		m.BeginStream(stream)
		for range 3 {
			m.Client.MakeCalls(m.Now)
			m.Answer()
		}
	}
	if got := strings.Count(strings.Join(m.Resumed, " "), "continue"); got != 8 {
		t.Fatalf("got %d of 8 requests admitted: %v", got, m.Resumed)
	}
	heartbeat()
	view, err := registry.ReadRedisView(store, "aws", document.For("aws").RateLimit)
	if err != nil || view.Limit != 9 || view.Remaining != 1 {
		t.Errorf("got %+v, %v, want 1 of 9 left", view, err)
	}
	if _, err := registry.ResetCluster(store, &registry.Entry{Cluster: "aws", Policy: *document.For("aws")}, m.Now); err != nil {
		t.Fatal(err)
	}
	heartbeat()
	m.Answer()
	heartbeat()
	if m.Counts["reset done"] != 1 {
		t.Errorf("got counts %v, want one reset done", m.Counts)
	}
	for _, key := range server.Keys() {
		if strings.HasSuffix(key, ":n") {
			t.Errorf("got the record %s after the reset, want none", key)
		}
	}
}

package request_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/sharedstate"
)

const poolRules = `{"rate_limit":{"requests":60000,"window_size":"10s","scope":"mesh"}}`

// crowd lets 400 other proxies have called just now.
func crowd(t *testing.T, server *miniredis.Miniredis, m *requesttest.MeshProxy) {
	t.Helper()
	for i := range 400 {
		at := time.Unix(1_800_000_000, m.Now).UnixMicro()
		if _, err := server.ZAdd("weir:{aws}:2:p", float64(at), fmt.Sprint("other ", i)); err != nil {
			t.Fatal(err)
		}
	}
}

// learnOfCrowd has a worker learn that there are so many proxies.
func learnOfCrowd(t *testing.T, m *requesttest.MeshProxy) {
	t.Helper()
	if _, got := m.BeginStream(1); got != "paused" {
		t.Fatalf("the first request: got %s, want paused", got)
	}
	m.Client.MakeCalls(m.Now)
	m.Answer()
	for got := "continue"; got == "continue"; { // the worker's own tokens
		_, got = m.BeginStream(2)
	}
	m.Now += int64(time.Second)
	m.Client.Tick(m.Now)
	m.Answer()
	m.Resumed = nil
}

// contendedPool is a store in which others change a pool each time while fails is set.
type contendedPool struct {
	sharedstate.Store
	fails bool
}

func (s *contendedPool) Set(key string, value []byte, cas uint32) error {
	if s.fails && key == sharedstate.PoolKey("aws", 0) {
		return sharedstate.ErrMismatch
	}
	return s.Store.Set(key, value, cas)
}

// TestMeshPoolContended: a pool's record that other workers change each time is given up, by name, and the worker leases by itself.
func TestMeshPoolContended(t *testing.T) {
	server, store := miniredis.RunT(t), &contendedPool{Store: sharedstate.NewMemory()}
	m := requesttest.JoinMeshOn(t, server, poolRules, "", store)
	crowd(t, server, m)
	learnOfCrowd(t, m)
	if err := m.Client.Publish(m.Now); err != nil {
		t.Fatalf("before: got %v, want no error", err)
	}
	store.fails = true
	if _, got := m.BeginStream(3); got != "paused" {
		t.Fatalf("got %s, want paused for the worker's own call", got)
	}
	m.Client.MakeCalls(m.Now)
	m.Answer()
	if got := strings.Join(m.Resumed, ", "); got != "3 continue" {
		t.Errorf("got resumed %s, want 3 continue", got)
	}
	if err := m.Client.Publish(m.Now); err == nil || !strings.Contains(err.Error(), "the pool of leases of aws could not be changed") || !strings.Contains(err.Error(), sharedstate.ErrContended.Error()) {
		t.Errorf("got %v, want the cluster's name and %v", err, sharedstate.ErrContended)
	}
	if err := m.Client.Publish(m.Now); err != nil {
		t.Errorf("a second later: got %v, want no error", err)
	}
}

// TestMeshPoolOfTwoWorkers: with 400 other proxies two workers take their tokens from one pool, by one call, and the worker
// that did not make it is woken.
func TestMeshPoolOfTwoWorkers(t *testing.T) {
	server, store := miniredis.RunT(t), sharedstate.NewMemory()
	a, b := requesttest.JoinMeshOn(t, server, poolRules, "", store), requesttest.JoinMeshOn(t, server, poolRules, "", store)
	crowd(t, server, a)
	for _, m := range []*requesttest.MeshProxy{a, b} {
		learnOfCrowd(t, m)
	}
	a.Now = b.Now
	crowd(t, server, a)
	for _, m := range []*requesttest.MeshProxy{a, b} {
		if _, got := m.BeginStream(3); got != "paused" {
			t.Fatalf("the pool's first requests: got %s, want paused", got)
		}
	}
	b.Client.MakeCalls(b.Now)
	if len(b.Calls) != 0 {
		t.Errorf("got %d calls by the worker that was second, want 0", len(b.Calls))
	}
	a.Client.MakeCalls(a.Now)
	if len(a.Calls) != 1 {
		t.Fatalf("got %d calls by the worker that was first, want 1", len(a.Calls))
	}
	a.Answer()
	if got := strings.Join(a.Resumed, ", "); got != "3 continue" {
		t.Errorf("the worker that called: got resumed %s, want 3 continue", got)
	}
	if want := []uint32{b.Worker.ID}; !slices.Equal(a.Woken, want) {
		t.Fatalf("got workers %v woken, want %v", a.Woken, want)
	}
	b.Client.MakeCalls(b.Now)
	if got := strings.Join(b.Resumed, ", "); got != "3 continue" {
		t.Errorf("the worker that was woken: got resumed %s, want 3 continue", got)
	}
	names, err := server.HKeys("weir:{aws}:2:w10000000:n")
	if err != nil || !slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, "-pool") }) {
		t.Errorf("got leases %v, %v, want one of a pool", names, err)
	}
}

// TestMeshShardsThatDoNotAnswer: a request does not wait for one shard after the other until its stream passes undecided, after a
// second and 8 timeouts.
func TestMeshShardsThatDoNotAnswer(t *testing.T) {
	m := requesttest.JoinMesh(t, miniredis.RunT(t), `{"rate_limit":{"requests":6400,"window_size":"10s","scope":"mesh","shards":64}}`, `,"on_error":"deny"`)
	if _, got := m.BeginStream(1); got != "paused" {
		t.Fatalf("the request: got %s, want paused", got)
	}
	const timeout = 50 * time.Millisecond
	calls := 0
	for began := m.Now; len(m.Resumed) == 0 && m.Now-began < int64(10*time.Second); calls++ {
		m.Client.MakeCalls(m.Now)
		m.Now += int64(timeout)
		m.Lose()
		m.Client.Tick(m.Now)
	}
	if got := strings.Join(m.Resumed, ", "); got != "1 429" || calls > 6 {
		t.Errorf("got resumed %q after %d timeouts, want 1 429 after at most 6", got, calls)
	}
}

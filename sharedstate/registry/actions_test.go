package registry

import (
	"testing"
	"time"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/compile"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/cache"
)

func load(t *testing.T, s sharedstate.Store) (r sharedstate.Record) {
	t.Helper()
	if _, err := sharedstate.NewCell(s, sharedstate.ClusterKey("a"), &r).Load(); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestForceBreaker(t *testing.T) {
	s := sharedstate.NewMemory()
	for i, tc := range []struct {
		forced breaker.Forced
		want   Transition
	}{
		{breaker.ForcedOpen, Transition{breaker.Closed, breaker.Open}},
		{breaker.ForcedOpen, Transition{breaker.Open, breaker.Open}},
		{breaker.ForcedClosed, Transition{breaker.Open, breaker.Closed}},
		{breaker.NotForced, Transition{breaker.Closed, breaker.Closed}},
	} {
		at := int64(i+1) * second
		if got, err := ForceBreaker(s, "a", tc.forced, at); err != nil || got != tc.want {
			t.Errorf("%d: got %+v, %v, want %+v", i, got, err, tc.want)
		}
		if got := load(t, s).Breaker.Forced; got != tc.forced {
			t.Errorf("%d: got forced %v, want %v", i, got, tc.forced)
		}
		if got, err := LastChange(s); err != nil || got != at {
			t.Errorf("%d: got last change %d, %v, want %d", i, got, err, at)
		}
	}
}

// TestResetCluster: breaker, limit and budget are fresh, and what the bulkhead counts stays.
func TestResetCluster(t *testing.T) {
	s := sharedstate.NewMemory()
	var r sharedstate.Record
	_, err := sharedstate.NewCell(s, sharedstate.ClusterKey("a"), &r).Update(func() bool {
		r.Breaker.Force(breaker.ForcedOpen, second)
		r.Bulkhead.Heartbeat(1, 3, second)
		r.Limit, r.Budget = []byte("used"), []byte("used")
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := (RedisView{RedisTime: 1, Limit: 5}).Publish(s, "a", &policy.RateLimit{}); err != nil {
		t.Fatal(err)
	}
	p := &policy.Policy{RateLimit: &policy.RateLimit{Scope: policy.ScopeMesh}}
	got, err := ResetCluster(s, &Entry{Cluster: "a", Policy: *p}, 2*second)
	if want := (Transition{breaker.Open, breaker.Closed}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	r = load(t, s)
	if r.Breaker.Status != breaker.Closed || r.Breaker.Forced != breaker.NotForced || len(r.Limit)+len(r.Budget) != 0 || r.Resets != 1 {
		t.Errorf("got %+v, want a fresh breaker, limit and budget, and 1 reset", r)
	}
	if len(r.Bulkhead.Owners) != 1 || r.Bulkhead.Owners[0].Count != 3 {
		t.Errorf("got bulkhead %+v, want the 3 requests of worker 1", r.Bulkhead)
	}
	if v, err := ReadRedisView(s, "a", &policy.RateLimit{}); err != nil || v != (RedisView{}) {
		t.Errorf("got Redis view %+v, %v, want none", v, err)
	}
}

func TestResetClusterByKey(t *testing.T) {
	s := sharedstate.NewMemory()
	p := &policy.Policy{RateLimit: &policy.RateLimit{Requests: 1, Window: time.Minute, Key: []policy.KeyPart{{Kind: policy.KeyPath}}, MaxKeys: 64}}
	limiter := compile.Limiter(p.RateLimit)
	table := sharedstate.NewKeyTable(s, "a", 64)
	admitted := func() (n int) {
		t.Helper()
		for key := range uint64(10) {
			_, _, err := table.Update(sharedstate.Fingerprint{Hi: 1, Lo: key}, states(func(way *sharedstate.Way) bool {
				if len(way.State) == 0 {
					way.State = make([]byte, limiter.Size())
					limiter.Reset(way.State)
				}
				v := limiter.Take(way.State, 100*second, 1)
				if v.Admitted {
					n++
				}
				return v.Store
			}))
			if err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	for _, want := range []int{10, 0} {
		if got := admitted(); got != want {
			t.Fatalf("before: got %d admitted, want %d", got, want)
		}
	}
	if _, err := ResetCluster(s, &Entry{Cluster: "a", Policy: *p}, 100*second); err != nil {
		t.Fatal(err)
	}
	if got := admitted(); got != 10 {
		t.Errorf("after: got %d admitted, want 10", got)
	}
}

func TestInvalidateCache(t *testing.T) {
	seed, f := [2]uint64{1, 2}, &policy.Fallback{EnableCache: true, MaxEntries: 10}
	keys := map[string]sharedstate.Fingerprint{"/a": {Lo: 1}, "/b": {Lo: 2}}
	for _, tc := range []struct{ path, want string }{{"/a?x=1", "/b"}, {"/b", "/a"}, {"/c", "/a /b"}, {"", ""}} {
		s := sharedstate.NewMemory()
		for path, key := range keys {
			meta := cache.Meta{Key: key, Path: cache.PathHash(seed, []byte(path)), Stored: second}
			response, _ := cache.AppendHead(nil, &meta, func(func(name, value string) bool) {})
			if stored, _, err := cache.New(s, "a", f.MaxEntries).Put(response, second, second); err != nil || !stored {
				t.Fatal(stored, err)
			}
		}
		if err := InvalidateCache(s, seed, "a", tc.path, f, 2*second); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, path := range []string{"/a", "/b"} {
			if _, found, err := cache.New(s, "a", f.MaxEntries).Get(keys[path]); err != nil {
				t.Fatal(err)
			} else if found && got != "" {
				got += " " + path
			} else if found {
				got = path
			}
		}
		if got != tc.want {
			t.Errorf("after invalidating %q: got %q, want %q", tc.path, got, tc.want)
		}
	}
}

// states are sharedstate.KeyStates of which none is idle.
type states func(way *sharedstate.Way) bool

func (states) Idle([]byte) bool { return false }

func (change states) Change(way *sharedstate.Way) bool { return change(way) }

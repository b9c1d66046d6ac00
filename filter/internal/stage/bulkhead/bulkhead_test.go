package bulkhead

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/bulkhead"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate"
)

const second = int64(time.Second)

// brokenStore fails for the keys that contain broken, unless that is "".
type brokenStore struct {
	*sharedstate.Memory
	broken string
}

func (s *brokenStore) Get(key string) ([]byte, uint32, error) {
	if s.broken != "" && strings.Contains(key, s.broken) {
		return nil, 0, errors.New("store broken")
	}
	return s.Memory.Get(key)
}

// count is what a cluster's record counts for a worker.
func count(t *testing.T, s sharedstate.Store, cluster string, worker uint32) uint32 {
	t.Helper()
	var r sharedstate.Record
	if _, err := sharedstate.NewCell(s, sharedstate.ClusterKey(cluster), &r).Load(); err != nil {
		t.Fatal(err)
	}
	for _, o := range r.Bulkhead.Owners {
		if o.ID == worker {
			return o.Count
		}
	}
	return 0
}

func TestHeartbeatWritesTheTrueCount(t *testing.T) {
	store := &brokenStore{Memory: sharedstate.NewMemory()}
	h := NewHolds(store, nil, 7)
	for i, tc := range []struct {
		name    string
		change  func()
		broken  string
		a, b    uint32 // in the records of clusters a and b
		holds   int    // clusters that the worker still has to write
		wantErr bool
	}{
		{"nothing in flight", func() {}, "", 0, 0, 0, false},
		{"some in flight", func() { h.hold("a", nil).add(); h.hold("a", nil).add(); h.hold("b", nil).add() }, "", 2, 1, 2, false},
		{"one less", func() { h.Remove("a") }, "", 1, 1, 2, false},
		{"the store of a fails", func() { h.Remove("a"); h.hold("b", nil).add() }, sharedstate.ClusterKey("a"), 1, 2, 2, true},
		{"the store of a works again", func() {}, "", 0, 2, 1, false},
		{"removed too often", func() { h.Remove("b"); h.Remove("b"); h.Remove("b"); h.Remove("c") }, "", 0, 0, 0, false},
	} {
		tc.change()
		store.broken = tc.broken
		err := h.Heartbeat(int64(i+1) * second)
		if (err != nil) != tc.wantErr {
			t.Errorf("%s: Heartbeat = %v, want an error %v", tc.name, err, tc.wantErr)
		}
		store.broken = ""
		if a, b := count(t, store, "a", 7), count(t, store, "b", 7); a != tc.a || b != tc.b || len(h.clusters) != tc.holds {
			t.Errorf("%s: got %d and %d in flight, %d clusters held; want %d, %d, %d", tc.name, a, b, len(h.clusters), tc.a, tc.b, tc.holds)
		}
	}
}

// TestHoldsOfTwoPlugins: the stages of two plugins count one cluster together, also after it was idle for a heartbeat.
func TestHoldsOfTwoPlugins(t *testing.T) {
	store := sharedstate.NewMemory()
	h := NewHolds(store, nil, 7)
	var one, other *hold
	for i, tc := range []struct {
		do     string
		change func()
		want   uint32
	}{
		{"one takes", func() { one = h.hold("a", one); one.add() }, 1},
		{"the other takes", func() { other = h.hold("a", other); other.add() }, 2},
		{"both return", func() { one.remove(); other.remove() }, 0},
		{"the other takes first", func() { other = h.hold("a", other); other.add() }, 1},
		{"one takes, whose hold is no longer listed", func() { one = h.hold("a", one); one.add() }, 2},
		{"one returns", func() { one.remove() }, 1},
		{"the other returns by the name", func() { h.Remove("a") }, 0},
		{"one takes again", func() { one = h.hold("a", one); one.add() }, 1},
	} {
		tc.change()
		if err := h.Heartbeat(int64(i+1) * second); err != nil {
			t.Fatal(err)
		}
		if got := count(t, store, "a", 7); got != tc.want {
			t.Errorf("%s: got %d in flight, want %d", tc.do, got, tc.want)
		}
	}
}

type reporter struct{ faults int }

func (r *reporter) Conflicts(int) {}
func (r *reporter) Fault(error)   { r.faults++ }

func TestStageTakesAndReturnsAPlace(t *testing.T) {
	store := sharedstate.NewMemory()
	h, r, record := NewHolds(store, nil, 7), &reporter{}, &sharedstate.Record{}
	s := New(&bulkhead.Config{Max: 1, Expiry: 5 * time.Second}, "aws", h, r)
	first, second := stage.Attempt{Record: record}, stage.Attempt{Record: record}
	if got := s.Admit(&first, 1); got != (stage.Verdict{Changed: true}) || first.Held != stage.HeldPlace {
		t.Fatalf("the first: Admit = %+v, held %b; want it admitted with a place", got, first.Held)
	}
	s.Done(&first, stage.Settlement{}, true)
	if got := s.Admit(&second, 1); got != (stage.Verdict{Reason: fallback.BulkheadFull}) {
		t.Errorf("the second: Admit = %+v, want bulkhead_full", got)
	}
	for i, tc := range []struct {
		stage.Settlement
		changed  bool
		inFlight uint32
	}{
		{stage.Settlement{Known: true}, false, 1}, // the outcome is known, the request not over
		{stage.Settlement{Over: true}, true, 0},
		{stage.Settlement{Over: true}, false, 0}, // once more
	} {
		if got := s.Settle(&first, tc.Settlement, 2); got != tc.changed {
			t.Errorf("settlement %d: Settle = %v, want %v", i, got, tc.changed)
		}
		s.Done(&first, tc.Settlement, true)
		if got := h.clusters["aws"].inFlight; got != tc.inFlight {
			t.Errorf("settlement %d: got %d in flight, want %d", i, got, tc.inFlight)
		}
	}
	if r.faults > 0 {
		t.Errorf("got %d faults, want none", r.faults)
	}
}

// TestRecordWithoutRoom: where too many workers hold a place, the request passes uncounted.
func TestRecordWithoutRoom(t *testing.T) {
	r, record := &reporter{}, &sharedstate.Record{}
	config := &bulkhead.Config{Max: 1000, Expiry: 5 * time.Second}
	for id := range uint32(bulkhead.MaxOwners) {
		record.Bulkhead.Acquire(*config, id+1, 1)
	}
	s := New(config, "aws", NewHolds(sharedstate.NewMemory(), nil, bulkhead.MaxOwners+1), r)
	c := stage.Attempt{Record: record}
	if got := s.Admit(&c, 1); got != (stage.Verdict{}) || c.Held != 0 || r.faults != 1 {
		t.Errorf("Admit = %+v, held %b, %d faults; want it admitted with no place and 1 fault", got, c.Held, r.faults)
	}
}

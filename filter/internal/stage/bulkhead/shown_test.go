package bulkhead

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/bulkhead"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate"
)

// words are numbers that all workers read.
type words map[string]*word

type word struct{ value uint64 }

func (w *word) Set(value uint64)      { w.value = value }
func (w *word) Value() (uint64, bool) { return w.value, true }

func (w words) number(cluster string, slot uint32) Number {
	key := fmt.Sprint(cluster, " ", slot)
	if w[key] == nil {
		w[key] = &word{}
	}
	return w[key]
}

// shower is a worker whose stages show what they have in flight.
type shower struct {
	holds    *Holds
	stages   []*stage.Shared // of two plugins, with different numbers
	running  []*stage.Attempt
	of       []int // the stage of each
	reporter reporter
}

func newShower(store sharedstate.Store, numbers Numbers, id uint32, most ...uint32) *shower {
	w := &shower{holds: NewHolds(store, numbers, id)}
	for _, n := range most {
		record := &sharedstate.Record{}
		s := New(&bulkhead.Config{Max: n, Expiry: 5 * time.Second}, "aws", w.holds, &w.reporter)
		cell := sharedstate.NewCell(store, sharedstate.ClusterKey("aws"), record)
		w.stages = append(w.stages, stage.NewShared(cell, record, false, &w.reporter, s))
	}
	return w
}

func (w *shower) begin(plugin int, now int64) fallback.Reason {
	a := &stage.Attempt{}
	v := w.stages[plugin].Admit(a, now)
	if v.Reason == fallback.None {
		w.running, w.of = append(w.running, a), append(w.of, plugin)
	}
	return v.Reason
}

func (w *shower) end(i int, now int64) {
	w.stages[w.of[i]].Settle(w.running[i], stage.Settlement{Known: true, Over: true}, now)
	w.running, w.of = append(w.running[:i], w.running[i+1:]...), append(w.of[:i], w.of[i+1:]...)
}

// TestShownPlaces has workers that begin and end requests, stall, crash and send heartbeats: each plugin admits while all
// requests of living workers together are less than its own number, and then none.
func TestShownPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store, numbers := sharedstate.NewMemory(), words{}
		most := [2]uint32{rapid.Uint32Range(1, 5).Draw(t, "one"), rapid.Uint32Range(1, 9).Draw(t, "other")}
		now, next := 100*second, uint32(1)
		var workers []*shower
		start := func() *shower {
			w := newShower(store, numbers.number, next, most[0], most[1])
			next++
			return w
		}
		for range rapid.IntRange(1, 3).Draw(t, "workers") {
			workers = append(workers, start())
		}
		dead := []uint32{}     // requests that a crashed worker had in flight
		deadUntil := []int64{} // they count until
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			k := rapid.IntRange(0, len(workers)-1).Draw(t, "worker")
			w := workers[k]
			switch rapid.IntRange(0, 9).Draw(t, "event") {
			default:
				plugin := rapid.IntRange(0, 1).Draw(t, "plugin")
				living, gone := uint32(0), uint32(0)
				for _, o := range workers {
					living += uint32(len(o.running))
				}
				for i := range dead {
					if now <= deadUntil[i] {
						gone += dead[i]
					}
				}
				got := w.begin(plugin, now)
				if got == fallback.None && living >= most[plugin] {
					t.Fatalf("admitted with %d of %d running", living, most[plugin])
				}
				if got != fallback.None && living+gone < most[plugin] {
					t.Fatalf("refused with %d of %d running, and %d of crashed workers", living, most[plugin], gone)
				}
			case 0, 1, 2, 3:
				if n := len(w.running); n > 0 {
					w.end(rapid.IntRange(0, n-1).Draw(t, "ends"), now)
				}
			case 4: // all are heard of
				now += rapid.Int64Range(0, second).Draw(t, "pause")
				for _, o := range workers {
					if err := o.holds.Heartbeat(now); err != nil {
						t.Fatal(err)
					}
				}
			case 5:
				dead, deadUntil = append(dead, uint32(len(w.running))), append(deadUntil, now+5*second)
				workers[k] = start()
			}
		}
		for _, w := range workers {
			if w.reporter.faults > 0 {
				t.Fatalf("got %d faults, want none", w.reporter.faults)
			}
		}
		for _, w := range workers {
			for len(w.running) > 0 {
				w.end(0, now)
			}
			if got := w.holds.Shown("aws").(*hold).inFlight; got != 0 {
				t.Fatalf("got %d in flight after all have ended, want 0", got)
			}
		}
	})
}

// TestShownPlacesSpareTheRecord: a request changes no record, but for the first after a heartbeat with none in flight.
func TestShownPlacesSpareTheRecord(t *testing.T) {
	store := &countingStore{Memory: sharedstate.NewMemory()}
	w := newShower(store, words{}.number, 7, 3)
	for range 100 {
		if got := w.begin(0, 100*second); got != fallback.None {
			t.Fatalf("got %v, want it admitted", got)
		}
		w.end(0, 100*second)
	}
	if store.sets != 1 {
		t.Errorf("got the record stored %d times for 100 requests, want once", store.sets)
	}
}

type countingStore struct {
	*sharedstate.Memory
	sets int
}

func (c *countingStore) Set(key string, value []byte, cas uint32) error {
	c.sets++
	return c.Memory.Set(key, value, cas)
}

// TestNumbersOfOthers: where a slot is another worker's, the record counts.
func TestNumbersOfOthers(t *testing.T) {
	store, numbers := sharedstate.NewMemory(), words{}
	first, other := newShower(store, numbers.number, 1, 4), newShower(store, numbers.number, 1+slots, 4)
	for range 3 {
		first.begin(0, 100*second)
	}
	if err := first.holds.Heartbeat(100 * second); err != nil {
		t.Fatal(err)
	}
	if got := other.begin(0, 100*second); got != fallback.None {
		t.Errorf("the fourth: got %v, want it admitted", got)
	}
	if got := other.begin(0, 100*second); got != fallback.BulkheadFull {
		t.Errorf("the fifth: got %v, want bulkhead_full", got)
	}
}

// refuser is a member that refuses after the bulkhead has admitted.
type refuser struct{}

func (refuser) Admit(*stage.Attempt, int64) stage.Verdict {
	return stage.Verdict{Reason: fallback.RateLimited}
}
func (refuser) Settle(*stage.Attempt, stage.Settlement, int64) bool { return false }
func (refuser) Done(*stage.Attempt, stage.Settlement, bool)         {}

// rival is a store in which another worker changes the key before each of so many Sets.
type rival struct {
	*sharedstate.Memory
	changes int
}

func (s *rival) Set(key string, value []byte, cas uint32) error {
	if s.changes > 0 {
		s.changes--
		if err := s.Memory.Set(key, nil, 0); err != nil {
			return err
		}
	}
	return s.Memory.Set(key, value, cas)
}

// TestPlacesOfRefusedRequests: a place is counted once, however often the record was changed meanwhile, and not at all
// where another stage refuses or the record can't be changed.
func TestPlacesOfRefusedRequests(t *testing.T) {
	for _, tc := range []struct {
		name   string
		rivals int
		more   []stage.Member
		want   uint32
	}{
		{"admitted", 0, nil, 1},
		{"admitted at the third try", 2, nil, 1},
		{"refused by another stage", 0, []stage.Member{refuser{}}, 0},
		{"the record can't be changed", 2 * sharedstate.MaxSwaps, nil, 0},
	} {
		store, r, record := &rival{sharedstate.NewMemory(), tc.rivals}, &reporter{}, &sharedstate.Record{}
		holds := NewHolds(store, words{}.number, 7)
		s := New(&bulkhead.Config{Max: 5, Expiry: 5 * time.Second}, "aws", holds, r)
		cell := sharedstate.NewCell(store, sharedstate.ClusterKey("aws"), record)
		shared := stage.NewShared(cell, record, false, r, append([]stage.Member{s}, tc.more...)...)
		shared.Admit(&stage.Attempt{}, 100*second)
		if got := holds.Shown("aws").(*hold).inFlight; got != tc.want {
			t.Errorf("%s: got %d in flight, want %d", tc.name, got, tc.want)
		}
	}
}

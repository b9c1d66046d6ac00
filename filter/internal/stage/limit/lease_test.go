package limit_test

import (
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/filter/internal/stage/limit"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// counting is a store that counts what is stored.
type counting struct {
	*sharedstate.Memory
	sets int
}

func (c *counting) Set(key string, value []byte, cas uint32) error {
	c.sets++
	return c.Memory.Set(key, value, cas)
}

// leasing is the stage of one worker, one of two, and its leases.
type leasing struct {
	*stage.Shared
	leases *limit.Leases
	cell   *sharedstate.Cell
	record *sharedstate.Record
}

func newLeasing(store sharedstate.Store, l *ratelimit.Limiter) leasing {
	w := leasing{leases: limit.NewLeases(store, 2), record: &sharedstate.Record{}}
	w.cell = sharedstate.NewCell(store, sharedstate.ClusterKey("aws"), w.record)
	w.Shared = stage.NewShared(w.cell, w.record, false, &reporter{}, limit.NewLeasedPerCluster(l, 0, false, "aws", w.leases))
	return w
}

// ask sends so many requests, with a step in between, and returns how many are admitted, and the last verdict's remaining.
func (w leasing) ask(n int, now, step int64) (admitted int, remaining int64) {
	for range n {
		var a stage.Attempt
		if w.Admit(&a, now).Reason == fallback.None {
			admitted++
		}
		remaining = a.Limits[0].Verdict.Remaining
		now += step
	}
	return admitted, remaining
}

func limiters() map[string]*ratelimit.Limiter {
	return map[string]*ratelimit.Limiter{
		"window": ratelimit.NewSlidingWindow(10_000, time.Minute), "bucket": ratelimit.NewTokenBucket(10_000, 1e-6),
	}
}

// TestLeasesSpareTheRecord has one worker admit a thousand requests in 100 ms.
func TestLeasesSpareTheRecord(t *testing.T) {
	for name, l := range limiters() {
		store := &counting{Memory: sharedstate.NewMemory()}
		admitted, remaining := newLeasing(store, l).ask(1000, 100*second, int64(100*time.Microsecond))
		if admitted != 1000 || remaining != 9000 {
			t.Errorf("%s: got %d admitted and %d remaining, want 1000 and 9000", name, admitted, remaining)
		}
		if store.sets > 100 {
			t.Errorf("%s: the record was stored %d times for 1000 requests, want at most 100", name, store.sets)
		}
	}
}

// TestLeasesOfSlowRequests: what comes once a second is not leased.
func TestLeasesOfSlowRequests(t *testing.T) {
	store := &counting{Memory: sharedstate.NewMemory()}
	if admitted, _ := newLeasing(store, limiters()["bucket"]).ask(100, 100*second, second); admitted != 100 || store.sets != 100 {
		t.Errorf("got %d admitted and %d changes of the record, want 100 and 100", admitted, store.sets)
	}
}

// TestLeasesAreGivenBack: what an idle worker has leased is another's after its next heartbeat.
func TestLeasesAreGivenBack(t *testing.T) {
	for name, l := range limiters() {
		store := sharedstate.NewMemory()
		first, other := newLeasing(store, l), newLeasing(store, l)
		now := 100 * second
		admitted, _ := first.ask(100, now, 1)
		if err := first.leases.Heartbeat(now + int64(150*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		now += int64(150 * time.Millisecond)
		if name == "window" { // its leases are valid for a second and more
			now += 2 * second
			if err := first.leases.Heartbeat(now); err != nil {
				t.Fatal(err)
			}
		}
		others, _ := other.ask(10_000, now, 1)
		if admitted != 100 || admitted+others != 10_000 {
			t.Errorf("%s: got %d and %d admitted, want 100 and 9900", name, admitted, others)
		}
	}
}

// TestLeasesAreOver: a lease is not used after the record was reset, or once the limit of another plugin counts as well.
func TestLeasesAreOver(t *testing.T) {
	for name, l := range limiters() {
		for _, tc := range []struct {
			event  string
			change func(w leasing, store sharedstate.Store)
			want   int64 // remaining after the next request
		}{
			{"nothing", func(leasing, sharedstate.Store) {}, 9899},
			{"a reset", func(w leasing, _ sharedstate.Store) {
				if _, err := w.cell.Update(func() bool {
					w.record.Resets++
					w.record.Limit = nil
					return true
				}); err != nil {
					t.Fatal(err)
				}
			}, 9999},
			{"another plugin", func(_ leasing, store sharedstate.Store) {
				newLeasing(store, ratelimit.NewSlidingWindow(20_000, time.Hour)).ask(1, 100*second, 1)
			}, 0},
		} {
			store := &counting{Memory: sharedstate.NewMemory()}
			w := newLeasing(store, l)
			w.ask(100, 100*second, 1)
			tc.change(w, store)
			before := store.sets
			_, remaining := w.ask(1, 100*second+1000, 1)
			if tc.want > 0 && remaining != tc.want {
				t.Errorf("%s, %s: got %d remaining, want %d", name, tc.event, remaining, tc.want)
			}
			if fromRecord := store.sets > before; fromRecord != (tc.event != "nothing") {
				t.Errorf("%s, %s: got the record changed %v, want %v", name, tc.event, fromRecord, !fromRecord)
			}
		}
	}
}

package limit_test

import (
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/filter/internal/stage/limit"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// TestLeasesAreGivenBackOnce: what a worker gave back by its heartbeat does not free the place of another's lease, too.
func TestLeasesAreGivenBackOnce(t *testing.T) {
	const ms, burst = int64(time.Millisecond), 10_000
	l := ratelimit.NewTokenBucket(burst, 100_000)
	store, now := sharedstate.NewMemory(), 100*second
	first, other := newLeasing(store, l), newLeasing(store, l)
	first.ask(100, now, 1)
	other.ask(100, now+90*ms, 1)
	if err := first.leases.Heartbeat(now + 101*ms); err != nil {
		t.Fatal(err)
	}
	first.ask(1, now+102*ms, 1)
	// The bucket has filled up again, but for the other's lease.
	admitted, _ := first.ask(burst+1, now+185*ms, 0)
	more, _ := other.ask(50, now+185*ms, 0)
	if got := admitted + more; got > burst {
		t.Errorf("got %d admitted at once, want at most %d", got, burst)
	}
}

// TestIdleLeasesOfALongWindow: what plugins that are gone have leased of a window of a day is given back by the worker's
// heartbeats, not only at the end of its 64th, 22 minutes later.
func TestIdleLeasesOfALongWindow(t *testing.T) {
	l := ratelimit.NewSlidingWindow(20_000, 24*time.Hour)
	store, now := sharedstate.NewMemory(), 100*second
	leases := limit.NewLeases(store, 2)
	admitted := 0
	for range 100 { // reloads
		w := leasing{leases: leases, record: &sharedstate.Record{}}
		w.cell = sharedstate.NewCell(store, sharedstate.ClusterKey("aws"), w.record)
		w.Shared = stage.NewShared(w.cell, w.record, false, &reporter{}, limit.NewLeasedPerCluster(l, 0, false, "aws", leases))
		n, _ := w.ask(100, now, 1)
		admitted += n
		for range 2 {
			now += second
			if err := leases.Heartbeat(now); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, remaining := newLeasing(store, l).ask(1, now, 1)
	if want := int64(20_000 - admitted - 1); remaining < want {
		t.Errorf("got %d remaining after %d requests, want %d", remaining, admitted+1, want)
	}
}

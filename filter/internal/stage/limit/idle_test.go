package limit_test

import (
	"testing"
	"time"

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

package limit_test

import (
	"testing"
	"time"

	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// TestRemainingOfALease: a request that is admitted from a lease is told what others have left since the lease was taken.
func TestRemainingOfALease(t *testing.T) {
	for name, l := range map[string]*ratelimit.Limiter{
		"window": ratelimit.NewSlidingWindow(10_000, time.Minute), "bucket": ratelimit.NewTokenBucket(10_000, 1e-6),
	} {
		store := sharedstate.NewMemory()
		first, other := newLeasing(store, l), newLeasing(store, l)
		first.ask(100, 100*second, 1)
		if _, left := other.ask(5000, 100*second+1000, 1); left > 5000 {
			t.Fatalf("%s: got %d remaining of 10000 after 5100 requests", name, left)
		}
		if _, remaining := first.ask(1, 100*second+10_000, 1); remaining > 4899 || remaining < 4800 {
			t.Errorf("%s: got %d remaining of 10000 after 5101 requests, want 4800 to 4899", name, remaining)
		}
	}
}

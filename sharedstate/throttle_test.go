package sharedstate

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestAllowLog(t *testing.T) {
	const s = int64(time.Second)
	store := NewMemory()
	for i, tc := range []struct {
		at    int64
		topic string
		want  bool
	}{
		{5 * s, "a", true},
		{5 * s, "a", false},
		{5*s + s - 1, "a", false},
		{5*s + 1, "b", true},
		{6 * s, "a", true},
		{6*s + 1, "a", false},
		{2 * s, "a", true}, // the clock was set back: no silence until 6 s
		{2*s + 1, "a", false},
	} {
		if got := AllowLog(store, tc.topic, time.Second, tc.at); got != tc.want {
			t.Errorf("step %d: AllowLog(%q) at %v = %v, want %v", i, tc.topic, time.Duration(tc.at), got, tc.want)
		}
	}
	if AllowLog(broken{errors.New("down")}, "a", time.Second, 100*s) {
		t.Error("got true from a store that fails, want false")
	}
}

// TestAllowLogForOneWorker has 8 workers that want to log at the same time.
func TestAllowLogForOneWorker(t *testing.T) {
	store := NewMemory()
	for round := range int64(50) {
		var logged atomic.Int32
		var workers sync.WaitGroup
		for range 8 {
			workers.Go(func() {
				if AllowLog(store, "a", time.Second, (round+1)*int64(time.Second)) {
					logged.Add(1)
				}
			})
		}
		workers.Wait()
		if got := logged.Load(); got != 1 {
			t.Fatalf("round %d: got %d workers that log, want 1", round, got)
		}
	}
}

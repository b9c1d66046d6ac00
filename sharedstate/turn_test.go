package sharedstate

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTurn(t *testing.T) {
	const s = int64(time.Second)
	store := NewMemory()
	for i, m := range []struct {
		at   int64
		what string
		want bool
	}{
		{5 * s, "a", true},
		{5 * s, "a", false},
		{5*s + s - 1, "a", false},
		{5*s + 1, "b", true},
		{6 * s, "a", true},
		{6*s + 1, "a", false},
		{2 * s, "a", true}, // the clock jumped back: no silence until it is there again
		{2*s + 1, "a", false},
	} {
		if got := Turn(store, m.what, time.Second, m.at); got != m.want {
			t.Errorf("moment %d: %v, want %v", i, got, m.want)
		}
	}
	if Turn(broken{errors.New("down")}, "a", time.Second, 100*s) {
		t.Error("a store that fails gives a turn")
	}
}

// TestTurnIsOneWorkers: of many at once one speaks.
func TestTurnIsOneWorkers(t *testing.T) {
	store := NewMemory()
	for round := range int64(50) {
		var spoke atomic.Int32
		var workers sync.WaitGroup
		for range 8 {
			workers.Go(func() {
				if Turn(store, "a", time.Second, (round+1)*int64(time.Second)) {
					spoke.Add(1)
				}
			})
		}
		workers.Wait()
		if spoke.Load() != 1 {
			t.Fatalf("round %d: %d spoke", round, spoke.Load())
		}
	}
}

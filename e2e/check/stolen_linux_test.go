package check

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// More threads are ready to run than there are CPUs, so each waits in a run queue for about half of the time.
func TestStolenTimeIsSeen(t *testing.T) {
	unwatched := time.Now()
	s := WatchStolen(t, os.Getpid())
	before := time.Now()
	var end atomic.Bool
	var busy sync.WaitGroup
	for range 4 * runtime.NumCPU() {
		busy.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for !end.Load() {
			}
		})
	}
	defer func() { end.Store(true); busy.Wait() }()
	for deadline := before.Add(10 * time.Second); s.Between(before, time.Now()) < 5*time.Millisecond; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %v lost, want 5 ms or more", s.Between(before, time.Now()))
		}
	}
	if lost := s.Between(unwatched.Add(-time.Minute), unwatched); lost != 0 {
		t.Errorf("got %v lost before the watch began, want 0", lost)
	}
}

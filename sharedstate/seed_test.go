package sharedstate

import (
	"sync"
	"testing"
)

func TestSeedIsThatOfTheFirstWorker(t *testing.T) {
	s := NewMemory()
	a0, a1, err := Seed(s, [16]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	b0, b1, err := Seed(s, [16]byte{4, 5, 6})
	if err != nil || a0 != b0 || a1 != b1 || a0 == 0 {
		t.Errorf("Seed of a second worker = %x %x, %v, want %x %x of the first", b0, b1, err, a0, a1)
	}
}

func TestSeedOfAnotherFilter(t *testing.T) {
	s := NewMemory()
	if err := s.Set(SeedKey, []byte("short"), CreateCAS); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Seed(s, [16]byte{}); err == nil {
		t.Error("Seed of a value of 5 bytes: got no error, want one")
	}
}

func TestNextWorkerIsUnique(t *testing.T) {
	const workers = 50
	s := NewMemory()
	var mu sync.Mutex
	seen := map[uint32]bool{}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			id, err := NextWorker(s)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || seen[id] || id == 0 {
				t.Errorf("NextWorker = %d, %v, want a new id above 0", id, err)
			}
			seen[id] = true
		})
	}
	wg.Wait()
}

package sharedstate

import (
	"errors"
	"sync"
	"testing"
)

// TestUpdateLosesNothing has workers that count in one record at the same time.
func TestUpdateLosesNothing(t *testing.T) {
	const workers, each = 8, 500
	store := NewMemory()
	var wg sync.WaitGroup
	var mu sync.Mutex
	gaveUp := 0
	for range workers {
		wg.Go(func() {
			var r Record
			cell := NewCell(store, ClusterKey("a"), &r)
			for range each {
				_, err := cell.Update(func() bool {
					r.Breaker.Failures++
					return true
				})
				if err != nil {
					if !errors.Is(err, ErrContended) {
						t.Error(err)
					}
					mu.Lock()
					gaveUp++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	var r Record
	if _, err := NewCell(store, ClusterKey("a"), &r).Load(); err != nil {
		t.Fatal(err)
	}
	if got := int(r.Breaker.Failures); got != workers*each-gaveUp {
		t.Fatalf("got a count of %d, want %d (%d updates returned ErrContended)", got, workers*each-gaveUp, gaveUp)
	}
}

// rival is a store in which another worker changes the key before each Set.
type rival struct {
	*Memory
	changes int
}

func (s *rival) Set(key string, value []byte, cas uint32) error {
	if s.changes > 0 {
		s.changes--
		if err := s.Memory.Set(key, []byte("rival"), 0); err != nil {
			return err
		}
	}
	return s.Memory.Set(key, value, cas)
}

func TestUpdateIsBounded(t *testing.T) {
	for _, tc := range []struct {
		rivals, conflicts int
		err               error
	}{
		{0, 0, nil},
		{3, 3, nil},
		{MaxSwaps - 1, MaxSwaps - 1, nil},
		{MaxSwaps, MaxSwaps, ErrContended},
	} {
		cell := NewCell(&rival{NewMemory(), tc.rivals}, "k", &Record{})
		runs := 0
		conflicts, err := cell.Update(func() bool { runs++; return true })
		if conflicts != tc.conflicts || !errors.Is(err, tc.err) {
			t.Errorf("%d rivals: got %d conflicts, %v, want %d, %v", tc.rivals, conflicts, err, tc.conflicts, tc.err)
		}
		if want := min(tc.rivals+1, MaxSwaps); runs != want {
			t.Errorf("%d rivals: got %d runs of change, want %d", tc.rivals, runs, want)
		}
	}
}

func TestUpdateWithoutChangeStoresNothing(t *testing.T) {
	store := NewMemory()
	if _, err := NewCell(store, "k", &Record{}).Update(func() bool { return false }); err != nil {
		t.Fatal(err)
	}
	if got := store.Len(); got != 0 {
		t.Fatalf("got %d records, want 0", got)
	}
}

type broken struct{ error }

func (b broken) Get(string) ([]byte, uint32, error) { return nil, 0, b.error }
func (b broken) Set(string, []byte, uint32) error   { return b.error }

func TestUpdateReturnsTheStoresError(t *testing.T) {
	fault := errors.New("host on fire")
	if _, err := NewCell(broken{fault}, "k", &Record{}).Update(func() bool { return true }); !errors.Is(err, fault) {
		t.Fatalf("got %v, want %v", err, fault)
	}
}

package cache

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weir-mesh/weir/sharedstate"
)

// TestRaces lets workers store, find and invalidate in two clusters at the same time, in too little room. Whatever one
// finds is a whole answer to the key it asked for, and no older than an invalidation that was over before it asked.
func TestRaces(t *testing.T) {
	const (
		workers = 6
		steps   = 1500
		keys    = 12
		budget  = 4 * granule
	)
	m := sharedstate.NewMemory()
	names := []string{"aws", "gcp"}
	var clock atomic.Int64
	clock.Store(second)
	tick := func() int64 { return clock.Add(second / 4) }
	invalidated := make([]atomic.Int64, len(names)) // the latest invalidation that is over
	removed := make([][4]atomic.Int64, len(names))  // the same, by path
	var stored, found, conflicts atomic.Int64
	var running sync.WaitGroup
	for w := range workers {
		running.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			var caches []*Cache
			for _, name := range names {
				c := New(m, name, 8)
				c.budget, c.reach = budget, 1
				caches = append(caches, c)
			}
			for range steps {
				i, n := random.IntN(len(names)), random.IntN(keys)
				c := caches[i]
				switch what := random.IntN(100); {
				case what == 0:
					now := tick()
					if err := c.Invalidate(now); err != nil {
						t.Error(err)
					}
					raise(&invalidated[i], now)
				case what == 1:
					now := tick()
					if _, err := c.RemovePath(pathOf(n), now); err != nil {
						t.Error(err)
					}
					raise(&removed[i][n%4], now)
				case what < 50:
					began := tick()
					at := tick()
					ok, more, err := c.Put(answer(n, at, random.IntN(granule)), began, tick())
					if err != nil {
						t.Error(err)
					}
					if ok {
						stored.Add(1)
					}
					conflicts.Add(int64(more))
				default:
					after := max(invalidated[i].Load(), removed[i][n%4].Load())
					if when := holds(t, c, n); when >= 0 {
						found.Add(1)
						if when <= after {
							t.Errorf("%s, key %d: got an entry stored at %d, want none from before the invalidation at %d", names[i], n, when, after)
						}
					}
				}
			}
		})
	}
	running.Wait()
	audit(t, m, budget, 1, 8, true, names...)
	t.Logf("%d stored, %d found, %d conflicts", stored.Load(), found.Load(), conflicts.Load())
	if stored.Load() < workers*steps/20 || found.Load() < workers*steps/20 {
		t.Errorf("got %d stored and %d found, want at least %d, so that workers met", stored.Load(), found.Load(), workers*steps/20)
	}
}

// raise sets a time to a later one.
func raise(at *atomic.Int64, now int64) {
	for before := at.Load(); before < now && !at.CompareAndSwap(before, now); before = at.Load() {
	}
}

// TestOnceASecond lets workers store the answers to one key as fast as they can: those that are stored are a second
// apart.
func TestOnceASecond(t *testing.T) {
	const workers, steps = 6, 500
	m := sharedstate.NewMemory()
	var clock atomic.Int64
	clock.Store(second)
	var mu sync.Mutex
	var times []int64
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			c := New(m, "aws", 8)
			for range steps {
				now := clock.Add(second / 50)
				if due, err := c.Due(keyOf(1), now); err != nil || !due {
					if err != nil {
						t.Error(err)
					}
					continue
				}
				stored, _, err := c.Put(answer(1, now, 100), now, now)
				if err != nil {
					t.Error(err)
				}
				if stored {
					mu.Lock()
					times = append(times, now)
					mu.Unlock()
				}
			}
		})
	}
	running.Wait()
	slices.Sort(times)
	for i := 1; i < len(times); i++ {
		if times[i]-times[i-1] < second {
			t.Errorf("got entries stored at %d and %d, want a second between", times[i-1], times[i])
		}
	}
	if most, least := workers*steps/50+1, workers*steps/50/3; len(times) > most || len(times) < least {
		t.Errorf("got %d entries stored, want %d to %d", len(times), least, most)
	}
}

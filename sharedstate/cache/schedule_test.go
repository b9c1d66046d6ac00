package cache

import (
	"flag"
	"fmt"
	"iter"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/sharedstate"
)

// Workers run at any speed between two calls of the store. These tests stop each worker before each of its calls, and a
// schedule says which one makes its next call. Every schedule with few changes from one worker to another is tried.

// Two find every bug that was ever found here. More take hours.
var preemptions = flag.Int("preemptions", 2, "preemptions in a schedule, at most")

// pausing is a store for one worker, a coroutine that pauses before each call.
type pausing struct {
	store sharedstate.Store
	pause func(struct{}) bool
}

func (p *pausing) Get(key string) ([]byte, uint32, error) {
	p.pause(struct{}{})
	return p.store.Get(key)
}

func (p *pausing) Set(key string, value []byte, cas uint32) error {
	p.pause(struct{}{})
	return p.store.Set(key, value, cas)
}

// together runs the workers' operations to their ends, one call at a time. next chooses among those that wait, of which
// the running one is one or has just ended (-1).
func together(store sharedstate.Store, next func(waiting []int, running int) int, ops ...func(s sharedstate.Store)) {
	resume := make([]func() (struct{}, bool), len(ops))
	var waiting []int
	for i, op := range ops {
		var stop func()
		resume[i], stop = iter.Pull(func(pause func(struct{}) bool) { op(&pausing{store, pause}) })
		defer stop()
		if _, paused := resume[i](); paused {
			waiting = append(waiting, i)
		}
	}
	for running := -1; len(waiting) > 0; {
		running = next(waiting, running)
		if _, paused := resume[running](); !paused {
			waiting = slices.DeleteFunc(waiting, func(i int) bool { return i == running })
			running = -1
		}
	}
}

// everySchedule calls run with one schedule after another, until it has seen all in which at most so many times a
// worker has to wait that could go on (M. Musuvathi, S. Qadeer, "Iterative context bounding", 2007: few are enough to
// find a race).
func everySchedule(preemptions int, run func(next func(waiting []int, running int) int)) (schedules int) {
	type choice struct{ taken, of int }
	var path []choice
	for {
		depth, left := 0, preemptions
		run(func(waiting []int, running int) int {
			order := waiting
			if running >= 0 { // going on comes first, and is all there is once no preemption is left
				order = []int{running}
				for _, w := range waiting {
					if w != running && left > 0 {
						order = append(order, w)
					}
				}
			}
			if depth == len(path) {
				path = append(path, choice{0, len(order)})
			}
			taken := order[path[depth].taken]
			depth++
			if running >= 0 && taken != running {
				left--
			}
			return taken
		})
		schedules++
		for len(path) > 0 && path[len(path)-1].taken+1 == path[len(path)-1].of {
			path = path[:len(path)-1]
		}
		if len(path) == 0 {
			return schedules
		}
		path[len(path)-1].taken++
	}
}

// The scene: three entries fill a cluster of three, and a neighbour's three are much larger. The budget is what they
// take. Bytes are few, so that many schedules can be tried.
const (
	sceneTime   = 100 * second
	sceneUnit   = 1 << 10
	sceneBudget = 7 * sceneUnit
	large       = sceneUnit - headFixed
	larger      = 2*sceneUnit - headFixed
)

// scene is a Cache of a small world.
func scene(store sharedstate.Store, cluster string) *Cache {
	c := New(store, cluster, 3)
	c.budget, c.unit, c.reach, c.settled = sceneBudget, sceneUnit, 1, true
	return c
}

func set(t rapid.TB) *sharedstate.Memory {
	t.Helper()
	m := sharedstate.NewMemory()
	aws, gcp := scene(m, "aws"), scene(m, "gcp")
	for n := 1; n <= 3; n++ {
		if !put(t, aws, n, int64(n)*second, 100) || !put(t, gcp, n, int64(n)*second, larger) {
			t.Fatalf("entry %d: got not stored, want stored", n)
		}
	}
	return m
}

// action is what a worker does in the scene.
type action struct {
	name string
	do   func(t rapid.TB, s sharedstate.Store)
}

func putting(cluster string, n int, began, stored int64, size int) func(t rapid.TB, s sharedstate.Store) {
	return func(t rapid.TB, s sharedstate.Store) {
		if _, _, err := scene(s, cluster).Put(answer(n, stored, size), began, sceneTime+10*second); err != nil {
			t.Error(err)
		}
	}
}

func invalidating(cluster string, now int64) func(t rapid.TB, s sharedstate.Store) {
	return func(t rapid.TB, s sharedstate.Store) {
		if err := scene(s, cluster).Invalidate(now); err != nil {
			t.Error(err)
		}
	}
}

func removingPath(n int, now int64) func(t rapid.TB, s sharedstate.Store) {
	return func(t rapid.TB, s sharedstate.Store) {
		if _, err := scene(s, "aws").RemovePath(pathOf(n), now); err != nil {
			t.Error(err)
		}
	}
}

func reading(cluster string, n int) func(t rapid.TB, s sharedstate.Store) {
	return func(t rapid.TB, s sharedstate.Store) { holds(t, scene(s, cluster), n) }
}

var actions = []action{
	{"refresh 1", putting("aws", 1, sceneTime, sceneTime, 100)},
	{"refresh 1, newer and longer", putting("aws", 1, sceneTime, sceneTime+second, 300)},
	{"store 4, 1 goes", putting("aws", 4, sceneTime, sceneTime, 100)},
	{"store 5, 1 goes", putting("aws", 5, sceneTime, sceneTime+1, 150)},
	{"store a large 6, which takes from the neighbour", putting("aws", 6, sceneTime, sceneTime, large)},
	{"store a larger 7", putting("aws", 7, sceneTime, sceneTime+1, larger)},
	{"the neighbour refreshes", putting("gcp", 2, sceneTime, sceneTime, larger)},
	{"the neighbour, with the most, grows", putting("gcp", 3, sceneTime, sceneTime, larger+sceneUnit)},
	{"a third begins", putting("azure", 1, sceneTime, sceneTime, large)},
	{"invalidate", invalidating("aws", sceneTime)},
	{"invalidate the third", invalidating("azure", sceneTime-1)},
	{"invalidate path 1", func(t rapid.TB, s sharedstate.Store) {
		if err := scene(s, "aws").InvalidatePath(pathOf(1), sceneTime); err != nil {
			t.Error(err)
		}
	}},
	{"remove path 1", removingPath(1, sceneTime)},
	{"remove 1", func(t rapid.TB, s sharedstate.Store) {
		if _, err := scene(s, "aws").Remove([]sharedstate.Fingerprint{keyOf(1)}, sceneTime); err != nil {
			t.Error(err)
		}
	}},
	{"read 1", reading("aws", 1)},
	{"read the neighbour's 2", reading("gcp", 2)},
}

// TestEverySchedule runs each pair of actions in every schedule.
func TestEverySchedule(t *testing.T) {
	total := 0
	for i, a := range actions {
		for _, b := range actions[i:] {
			n := everySchedule(*preemptions, func(next func(waiting []int, running int) int) {
				m := set(t)
				together(m, next,
					func(s sharedstate.Store) { a.do(t, s) },
					func(s sharedstate.Store) { b.do(t, s) })
				checkScene(t, m)
			})
			total += n
			if t.Failed() {
				t.Fatalf("%s | %s: in one of %d schedules", a.name, b.name, n)
			}
		}
	}
	t.Logf("%d schedules", total)
	if total < 1_000 {
		t.Errorf("got %d schedules, want at least 1000", total)
	}
}

// checkScene checks the bounds of the scene after any schedule, and that every listed entry can be read.
func checkScene(t rapid.TB, m *sharedstate.Memory) {
	t.Helper()
	audit(t, m, sceneBudget, 1, 4, true, "aws", "gcp", "azure")
	for _, cluster := range []string{"aws", "gcp", "azure"} {
		c := scene(m, cluster)
		found := 0
		for n := range 8 {
			if holds(t, c, n) >= 0 {
				found++
			}
		}
		if s, err := ReadStats(m, cluster); err != nil || s.Entries != found || found > 3 {
			t.Errorf("%s: got %d entries, want at most 3, and as many as %+v says (%v)", cluster, found, s, err)
		}
	}
}

// TestInvalidatedEntriesStayGone invalidates while responses from before are stored, in every schedule: a slow worker
// that has claimed its slot already, one that has not, one that grows. The answer to a request that began later may be
// stored, if it is complete.
func TestInvalidatedEntriesStayGone(t *testing.T) {
	for _, stale := range []action{
		{"refresh", putting("aws", 1, sceneTime, sceneTime+1, 100)},
		{"store, another goes", putting("aws", 4, sceneTime, sceneTime+1, 100)},
		{"grow", putting("aws", 5, sceneTime-1, sceneTime+1, large)},
	} {
		for _, fresh := range []int{0, 1} {
			n := everySchedule(*preemptions, func(next func(waiting []int, running int) int) {
				m := set(t)
				ops := []func(s sharedstate.Store){
					func(s sharedstate.Store) { stale.do(t, s) },
					func(s sharedstate.Store) {
						invalidating("aws", sceneTime)(t, s)
						// It is done: from here on nobody finds what was before.
						for n := 1; n <= 5; n++ {
							if when := holds(t, scene(m, "aws"), n); when >= 0 && when != sceneTime+2*second {
								t.Errorf("key %d after the invalidation: got an entry stored at %d, want none", n, when)
							}
						}
					},
				}
				if fresh > 0 {
					ops = append(ops, func(s sharedstate.Store) {
						putting("aws", fresh, sceneTime+1, sceneTime+2*second, 90)(t, s)
					})
				}
				together(m, next, ops...)
				checkScene(t, m)
				for n := 1; n <= 5; n++ {
					if when := holds(t, scene(m, "aws"), n); when >= 0 && when != sceneTime+2*second {
						t.Errorf("key %d at the end: got an entry stored at %d, want none from before", n, when)
					}
				}
			})
			t.Logf("%s, with %d: %d schedules", stale.name, fresh, n)
			if t.Failed() {
				t.Fatalf("%s, with %d stored by a third worker: in one of %d schedules", stale.name, fresh, n)
			}
		}
	}
}

// TestRemovedPathsStayGone is TestInvalidatedEntriesStayGone for one path, of which 1 is kept and 5 is not: what another worker
// stores of it meanwhile, of a request that began before, is not there afterwards; what it stores of another path is.
func TestRemovedPathsStayGone(t *testing.T) {
	const began, stored = sceneTime, sceneTime + 1
	for _, tc := range []struct {
		name string
		n    int
		size int
		kept bool
	}{
		{"refresh 1", 1, 100, false},
		{"store 5", 5, 100, false},
		{"store a large 5", 5, large, false},
		{"store 4, of another path", 4, 100, true},
	} {
		for _, fresh := range []int{0, tc.n} {
			n := everySchedule(*preemptions, func(next func(waiting []int, running int) int) {
				m := set(t)
				ops := []func(s sharedstate.Store){
					func(s sharedstate.Store) { putting("aws", tc.n, began, stored, tc.size)(t, s) },
					func(s sharedstate.Store) {
						removingPath(1, sceneTime)(t, s)
						for _, n := range []int{1, 5} {
							if when := holds(t, scene(m, "aws"), n); when >= 0 && when != sceneTime+2*second {
								t.Errorf("key %d after its path was removed: got an entry stored at %d, want none", n, when)
							}
						}
					},
				}
				if fresh > 0 {
					ops = append(ops, func(s sharedstate.Store) {
						putting("aws", fresh, sceneTime+1, sceneTime+2*second, 90)(t, s)
					})
				}
				together(m, next, ops...)
				checkScene(t, m)
				for _, n := range []int{1, 5} {
					if when := holds(t, scene(m, "aws"), n); when >= 0 && when != sceneTime+2*second {
						t.Errorf("key %d at the end: got an entry stored at %d, want none from before", n, when)
					}
				}
				if when := holds(t, scene(m, "aws"), 4); tc.kept && when < stored {
					t.Errorf("key 4, of another path: got an entry stored at %d, want %d or later", when, stored)
				}
			})
			t.Logf("%s, then %d: %d schedules", tc.name, fresh, n)
			if t.Failed() {
				t.Fatalf("%s, with %d stored by a third worker: in one of %d schedules", tc.name, fresh, n)
			}
		}
	}
}

// TestAnySchedule lets three or four workers do several actions each, in schedules at random.
func TestAnySchedule(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := set(r)
		var ops []func(s sharedstate.Store)
		var names [][]string
		for range rapid.IntRange(3, 4).Draw(r, "workers") {
			todo := rapid.SliceOfN(rapid.SampledFrom(actions), 1, 3).Draw(r, "actions")
			var name []string
			for _, d := range todo {
				name = append(name, d.name)
			}
			names = append(names, name)
			ops = append(ops, func(s sharedstate.Store) {
				for _, d := range todo {
					d.do(r, s)
				}
			})
		}
		schedule := rapid.SliceOfN(rapid.IntRange(0, 3), 0, 200).Draw(r, "schedule")
		at := 0
		together(m, func(waiting []int, _ int) int {
			if at == len(schedule) {
				return waiting[0]
			}
			at++
			return waiting[schedule[at-1]%len(waiting)]
		}, ops...)
		checkScene(r, m)
		if r.Failed() {
			r.Fatalf("%v", names)
		}
	})
}

// crash is a store whose worker stops: its VM is gone from one call on.
type crash struct {
	sharedstate.Store
	calls int // that are still made
}

type stopped struct{}

func (c *crash) Get(key string) ([]byte, uint32, error) {
	c.step()
	return c.Store.Get(key)
}

func (c *crash) Set(key string, value []byte, cas uint32) error {
	c.step()
	return c.Store.Set(key, value, cas)
}

func (c *crash) step() {
	if c.calls == 0 {
		panic(stopped{})
	}
	c.calls--
}

// TestCrashes stops a worker before each of the calls of each action. No reader is ever wrong, the ledger never says
// too little, and what is left over goes when the slots are written next.
func TestCrashes(t *testing.T) {
	for _, d := range actions {
		for calls := 0; ; calls++ {
			m := set(t)
			ended := func() (ended bool) {
				defer func() {
					if r := recover(); r != nil {
						if _, ours := r.(stopped); !ours {
							panic(r)
						}
					}
				}()
				d.do(t, &crash{m, calls})
				return true
			}()
			where := fmt.Sprintf("%s, stopped after %d calls", d.name, calls)
			audit(t, m, sceneBudget, 1, 4, false, "aws", "gcp", "azure")
			for _, cluster := range []string{"aws", "gcp", "azure"} {
				for n := range 8 {
					holds(t, scene(m, cluster), n)
				}
			}
			later := sceneTime + 100*second
			for _, cluster := range []string{"aws", "gcp", "azure"} {
				for n := range 6 {
					if later += second; !put(t, scene(m, cluster), n, later, 200) || holds(t, scene(m, cluster), n) != later {
						t.Errorf("%s: entry %d after the crash: got not stored, want stored", cluster, n)
					}
				}
			}
			audit(t, m, sceneBudget, 1, 4, true, "aws", "gcp", "azure")
			if t.Failed() {
				t.Fatal(where)
			}
			if ended {
				break
			}
		}
	}
}

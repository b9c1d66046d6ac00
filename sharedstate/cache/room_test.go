package cache

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/sharedstate"
)

// valued is a store that counts the bytes of its values, and its calls.
type valued struct {
	*sharedstate.Memory
	bytes      map[string]int
	sum, calls int
}

func newValued() *valued {
	return &valued{Memory: sharedstate.NewMemory(), bytes: map[string]int{}}
}

func (s *valued) Get(key string) ([]byte, uint32, error) {
	s.calls++
	return s.Memory.Get(key)
}

func (s *valued) Set(key string, value []byte, cas uint32) error {
	s.calls++
	err := s.Memory.Set(key, value, cas)
	if err == nil {
		s.sum += len(value) - s.bytes[key]
		s.bytes[key] = len(value)
	}
	return err
}

// TestTheWholeCacheHasABound fills the real 64 MiB: clusters that are idle give to one that is not, until none has more
// than another.
func TestTheWholeCacheHasABound(t *testing.T) {
	const size = 64 << 10
	s := newValued()
	clock, key := second, 0
	names := []string{"idle", "gone", "busy", "small"}
	fill := func(name string, entries int) {
		c := New(s, name, MaxEntries)
		for n := key; n < key+entries; n++ {
			clock++
			if !put(t, c, n, clock, size) {
				t.Fatalf("%s: entry %d of %d: got not stored, want stored", name, n, entries)
			}
			if s.sum > MaxBytes+4*10_256+16*len(names)*10_256+MaxLedgerBytes {
				t.Fatalf("%s: got %d bytes in the store, want less than MaxBytes and what is allowed besides", name, s.sum)
			}
		}
		key += entries
	}
	bytes := func(name string) int64 {
		stats, err := ReadStats(s, name)
		if err != nil {
			t.Fatal(err)
		}
		return stats.Bytes
	}
	fill("small", 3)
	fill("idle", 450)
	fill("gone", 200)
	if got := bytes("idle") + bytes("gone"); got != 650*(size+headFixed) {
		t.Fatalf("before the cache is full: got %d bytes, want %d", got, 650*(size+headFixed))
	}
	fill("busy", 600)
	// A third each, except for rounding and for what the last segment to give gave too much.
	if busy, idle, gone, small := bytes("busy"), bytes("idle"), bytes("gone"), bytes("small"); busy < MaxBytes/4 ||
		busy+idle+gone+small < MaxBytes*9/10 || small != 3*(size+headFixed) {
		t.Errorf("got busy %d, idle %d, gone %d, small %d bytes, want a third each, and all of small", busy, idle, gone, small)
	}
	fill("small", 100)
	if small := bytes("small"); small != 103*(size+headFixed) {
		t.Errorf("small after it grew: got %d bytes, want %d from the others", small, 103*(size+headFixed))
	}
	audit(t, s, MaxBytes, MaxSegments, SegmentWays, true, names...)
}

// TestRowsRunOut has more clusters than the ledger has rows: those that grew the longest ago are emptied.
func TestRowsRunOut(t *testing.T) {
	m := sharedstate.NewMemory()
	clock := second
	open := func(i int) *Cache { return New(m, fmt.Sprint("cluster", i), 10) }
	for i := range MaxRows {
		if clock++; !put(t, open(i), 1, clock, 100) {
			t.Fatalf("cluster %d: got not stored, want stored", i)
		}
	}
	if clock++; !put(t, open(0), 2, clock, granule) { // which makes it the last that grew
		t.Error("a cluster that has a row: got not stored, want stored")
	}
	for i := MaxRows; i < MaxRows+3; i++ {
		if clock++; !put(t, open(i), 1, clock, 100) || holds(t, open(i), 1) != clock {
			t.Errorf("cluster %d: got not stored, want stored", i)
		}
	}
	var book ledger
	if _, err := sharedstate.NewCell(m, LedgerKey, &book).Load(); err != nil || len(book.rows) != MaxRows {
		t.Errorf("got %d rows, %v, want %d", len(book.rows), err, MaxRows)
	}
	for i := range 10 {
		if gone := holds(t, open(i), 1) < 0; gone != (i >= 1 && i <= 3) {
			t.Errorf("cluster %d: got emptied %v, want %v", i, gone, !gone)
		}
		audit(t, m, MaxBytes, 1, 4, true, fmt.Sprint("cluster", i))
	}
	if err := open(7).Invalidate(clock); err != nil {
		t.Fatal(err)
	}
	if clock++; !put(t, open(5000), 1, clock, 100) || holds(t, open(8), 1) < 0 {
		t.Error("a new cluster: got the row of another, want that of the emptied one")
	}
}

// almost is a body that makes an entry of a granule.
const almost = granule - headFixed

// TestWhoGives has a budget of eight granules, and clusters that hold entries of one.
func TestWhoGives(t *testing.T) {
	type fill struct {
		cluster string
		entries int
	}
	for _, tc := range []struct {
		name   string
		before []fill
		size   int // of what "mine" stores then
		stored bool
		after  []fill
	}{
		{"there is room", []fill{{"mine", 3}, {"other", 4}}, almost, true, []fill{{"mine", 4}, {"other", 4}}},
		{"the largest gives", []fill{{"mine", 3}, {"other", 5}}, almost, true, []fill{{"mine", 4}, {"other", 4}}},
		{"the largest of several gives", []fill{{"mine", 1}, {"small", 2}, {"other", 5}}, almost, true, []fill{{"mine", 2}, {"small", 2}, {"other", 4}}},
		{"mine is the largest", []fill{{"mine", 5}, {"other", 3}}, almost, true, []fill{{"mine", 5}, {"other", 3}}},
		{"mine is all", []fill{{"mine", 8}}, almost, true, []fill{{"mine", 8}}},
		{"a larger entry than the largest gives by itself", []fill{{"mine", 1}, {"a", 3}, {"b", 4}}, 4 * almost, true, []fill{{"mine", 1}, {"a", 2}, {"b", 2}}},
		{"mine is the largest, and what it has is too little for the entry", []fill{{"mine", 3}, {"a", 3}, {"b", 2}}, 4 * almost, true, []fill{{"mine", 1}, {"a", 2}, {"b", 2}}},
		{"an entry as almost as all", []fill{{"a", 5}, {"b", 3}}, 8 * almost, true, []fill{{"mine", 1}, {"a", 0}, {"b", 0}}},
		{"an entry larger than all", []fill{{"a", 5}, {"b", 3}}, 9 * granule, false, []fill{{"mine", 0}, {"a", 5}, {"b", 3}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const budget = 8 * granule
			m := sharedstate.NewMemory()
			open := func(cluster string) *Cache {
				c := New(m, cluster, 100)
				c.budget = budget
				return c
			}
			names := []string{"mine"}
			clock := second
			for _, f := range tc.before {
				names = append(names, f.cluster)
				for n := range f.entries {
					clock++
					put(t, open(f.cluster), n, clock, almost)
				}
			}
			clock++
			if stored := put(t, open("mine"), 99, clock, tc.size); stored != tc.stored || (holds(t, open("mine"), 99) == clock) != tc.stored {
				t.Errorf("got stored %v, want %v", stored, tc.stored)
			}
			for _, f := range tc.after {
				if s, err := ReadStats(m, f.cluster); err != nil || s.Entries != f.entries {
					t.Errorf("%s: got %+v, %v, want %d entries", f.cluster, s, err, f.entries)
				}
			}
			audit(t, m, budget, MaxSegments, 16, true, names...)
		})
	}
}

// TestPressure lets clusters with entries of all sizes share a budget that is too small for them: whatever is found is
// right, and the bounds hold after each step.
func TestPressure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := sharedstate.NewMemory()
		budget := granule * rapid.Uint64Range(1, 12).Draw(t, "budget")
		names := []string{"aws", "gcp", "azure", "a fourth"}
		clock := second
		newest := map[string]map[int]int64{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			clock += second
			name := rapid.SampledFrom(names).Draw(t, "cluster")
			c := New(m, name, rapid.SampledFrom([]int{2, 5, 300}).Draw(t, "entries")) // a policy that changes all the time
			c.budget = budget
			n, size := rapid.IntRange(0, 9).Draw(t, "key"), rapid.IntRange(0, 3*granule).Draw(t, "size")
			stored := put(t, c, n, clock, size)
			if stored != (c.granules(uint64(headFixed+size)) <= budget) || stored != (holds(t, c, n) == clock) {
				t.Fatalf("%s: entry %d of %d bytes: got stored %v, want it where it fits the budget", name, n, size, stored)
			}
			if newest[name] == nil {
				newest[name] = map[int]int64{}
			}
			if stored {
				newest[name][n] = clock
			}
			for _, name := range names {
				for n := range 10 {
					for _, entries := range []int{2, 300} {
						if when := holds(t, New(m, name, entries), n); when > newest[name][n] {
							t.Fatalf("%s, key %d: got an entry stored at %d, want at most %d", name, n, when, newest[name][n])
						}
					}
				}
			}
			audit(t, m, budget, 2, 16, true, names...)
			if t.Failed() {
				t.FailNow()
			}
		}
	})
}

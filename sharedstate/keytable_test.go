package sharedstate

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// The tests keep a count for each key, u64. A count of 0 is idle.
const countSize = 8

func idleCount(state []byte) bool { return count(state) == 0 }

func count(state []byte) uint64 { return binary.LittleEndian.Uint64(state) }

func putCount(state []byte, n uint64) { binary.LittleEndian.PutUint64(state, n) }

// key n is in set n % sets.
func key(n int) Fingerprint { return Fingerprint{Hi: 1, Lo: uint64(n)} }

// states are KeyStates of functions.
type states struct {
	idle   func(state []byte) bool
	change func(way *Way) bool
}

func (s states) Idle(state []byte) bool { return s.idle(state) }

func (s states) Change(way *Way) bool { return s.change(way) }

// update and change let a test see a way's count; the first count of a way is fresh.
func update(table *KeyTable, k Fingerprint, f func(state []byte, fresh bool) bool) (Slot, int, error) {
	return table.Update(k, states{idleCount, func(way *Way) bool {
		fresh := len(way.State) == 0
		if fresh {
			way.State = make([]byte, countSize)
		}
		return f(way.State, fresh)
	}})
}

func change(table *KeyTable, at Slot, f func(state []byte) bool) (int, error) {
	return table.Change(at, states{idleCount, func(way *Way) bool {
		if len(way.State) == 0 {
			way.State = make([]byte, countSize)
		}
		return f(way.State)
	}})
}

// add changes the count of a key by n and returns the new one.
func add(t rapid.TB, table *KeyTable, k Fingerprint, n int) (at Slot, sum uint64, fresh bool) {
	t.Helper()
	at, _, err := update(table, k, func(state []byte, isFresh bool) bool {
		sum, fresh = count(state)+uint64(n), isFresh
		putCount(state, sum)
		return true
	})
	if err != nil {
		t.Fatalf("Update(%v) fails: %v", k, err)
	}
	return at, sum, fresh && !at.Overflow
}

func TestKeyTableSize(t *testing.T) {
	for _, tc := range []struct{ maxKeys, ways, sets int }{
		{1, 1, 1},
		{5, 5, 1},
		{32, 32, 1},
		{33, 32, 2},
		{1000, 32, 32},
	} {
		table := NewKeyTable(NewMemory(), "aws", tc.maxKeys)
		if table.set.most != tc.ways || int(table.sets) != tc.sets {
			t.Errorf("NewKeyTable(%d keys): got %d sets of %d ways, want %d of %d",
				tc.maxKeys, table.sets, table.set.most, tc.sets, tc.ways)
		}
	}
}

// TestKeyTableUpdate runs steps on a table with two ways in one set.
func TestKeyTableUpdate(t *testing.T) {
	type step struct {
		key, add int
		want     uint64
		fresh    bool
		overflow bool
	}
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"a key keeps its state", []step{
			{key: 1, add: 3, want: 3, fresh: true},
			{key: 1, add: 4, want: 7},
		}},
		{"two keys have two states", []step{
			{key: 1, add: 3, want: 3, fresh: true},
			{key: 2, add: 5, want: 5, fresh: true},
			{key: 1, add: 1, want: 4},
			{key: 2, add: 1, want: 6},
		}},
		{"keys that find no way share the overflow", []step{
			{key: 1, add: 1, want: 1, fresh: true},
			{key: 2, add: 1, want: 1, fresh: true},
			{key: 3, add: 1, want: 1, overflow: true},
			{key: 4, add: 1, want: 2, overflow: true},
			{key: 3, add: 1, want: 3, overflow: true},
			{key: 1, add: 1, want: 2},
		}},
		{"an idle way is given to another key", []step{
			{key: 1, add: 1, want: 1, fresh: true},
			{key: 2, add: 1, want: 1, fresh: true},
			{key: 1, add: -1, want: 0},
			{key: 3, add: 1, want: 1, fresh: true},
			{key: 1, add: 1, want: 1, overflow: true},
			{key: 3, add: 1, want: 2},
		}},
		{"an idle way stays with its key until another key takes it", []step{
			{key: 1, add: 0, want: 0, fresh: true},
			{key: 1, add: 1, want: 1},
		}},
		{"a key leaves the overflow when a way is idle", []step{
			{key: 1, add: 1, want: 1, fresh: true},
			{key: 2, add: 1, want: 1, fresh: true},
			{key: 3, add: 1, want: 1, overflow: true},
			{key: 2, add: -1, want: 0},
			{key: 3, add: 1, want: 1, fresh: true},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			table := NewKeyTable(NewMemory(), "aws", 2)
			for i, s := range tc.steps {
				at, got, fresh := add(t, table, key(s.key), s.add)
				if want := (Slot{key(s.key), s.overflow}); at != want {
					t.Errorf("step %d: got slot %+v, want %+v", i, at, want)
				}
				if got != s.want || fresh != s.fresh {
					t.Errorf("step %d: got count %d, fresh %v, want %d, %v", i, got, fresh, s.want, s.fresh)
				}
			}
		})
	}
}

func TestKeyTableUpdateStoresOnlyOnRequest(t *testing.T) {
	store := NewMemory()
	table := NewKeyTable(store, "aws", 2)
	_, _, err := update(table, key(1), func(state []byte, _ bool) bool { putCount(state, 1); return false })
	if err != nil || store.Len() != 0 {
		t.Errorf("got %d records, %v, want 0, no error", store.Len(), err)
	}
}

// TestKeyTableChange changes states where Update found them before.
func TestKeyTableChange(t *testing.T) {
	const none = ^uint64(0) // the change does not run
	for _, tc := range []struct {
		name   string
		before map[int]int // counts of the keys 1, 2 and 3, in that order
		after  func(t *testing.T, table *KeyTable)
		at     Slot
		want   uint64
	}{
		{"a key's state", map[int]int{1: 4}, nil, Slot{Key: key(1)}, 4},
		{"the overflow state", map[int]int{1: 1, 2: 1, 3: 7}, nil, Slot{key(3), true}, 7},
		{"a key that is not in the table", map[int]int{1: 1}, nil, Slot{Key: key(2)}, none},
		{"a key whose way was given away", map[int]int{1: 1, 2: 1}, func(t *testing.T, table *KeyTable) {
			add(t, table, key(1), -1)
			add(t, table, key(3), 9)
		}, Slot{Key: key(1)}, none},
	} {
		t.Run(tc.name, func(t *testing.T) {
			table := NewKeyTable(NewMemory(), "aws", 2)
			for n := 1; n <= 3; n++ {
				if tc.before[n] != 0 {
					add(t, table, key(n), tc.before[n])
				}
			}
			if tc.after != nil {
				tc.after(t, table)
			}
			got := none
			conflicts, err := change(table, tc.at, func(state []byte) bool { got = count(state); return false })
			if got != tc.want || conflicts != 0 || err != nil {
				t.Errorf("Change(%+v): got %d, %d conflicts, %v, want %d, 0, no error", tc.at, got, conflicts, err, tc.want)
			}
		})
	}
}

func TestKeyTableClear(t *testing.T) {
	store := NewMemory()
	table := NewKeyTable(store, "aws", 64) // 2 sets of 32
	if err := table.Clear(); err != nil || store.Len() != 0 {
		t.Fatalf("Clear of an empty table: got %v, %d records, want no error, 0 records", err, store.Len())
	}
	for n := range 65 { // key 64 overflows
		add(t, table, key(n), 1)
	}
	if err := table.Clear(); err != nil {
		t.Fatal(err)
	}
	for n := range 64 {
		if at, got, fresh := add(t, table, key(n), 1); at.Overflow || got != 1 || !fresh {
			t.Fatalf("key %d after Clear: got %+v, count %d, fresh %v, want its own way, 1, true", n, at, got, fresh)
		}
	}
	if at, got, _ := add(t, table, key(64), 1); !at.Overflow || got != 1 {
		t.Errorf("the overflow after Clear: got %+v, count %d, want the overflow, 1", at, got)
	}
	if store.Len() != 3 {
		t.Errorf("got %d records, want 2 sets and the overflow", store.Len())
	}
}

func TestKeyTableReturnsTheStoresError(t *testing.T) {
	want := errors.New("host on fire")
	table := NewKeyTable(broken{want}, "aws", 64)
	_, _, updated := update(table, key(1), func([]byte, bool) bool { return true })
	_, changed := change(table, Slot{Key: key(1)}, func([]byte) bool { return true })
	_, overflow := change(table, Slot{Overflow: true}, func([]byte) bool { return true })
	for name, got := range map[string]error{"Update": updated, "Change": changed, "Change of the overflow": overflow, "Clear": table.Clear()} {
		if !errors.Is(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// TestKeyTableConflicts has another worker that changes the record while a change runs.
func TestKeyTableConflicts(t *testing.T) {
	store := NewMemory()
	a, b := NewKeyTable(store, "aws", 2), NewKeyTable(store, "aws", 2)

	t.Run("in a set", func(t *testing.T) {
		runs, sum := 0, uint64(0)
		at, conflicts, err := update(a, key(1), func(state []byte, _ bool) bool {
			if runs++; runs <= 3 {
				add(t, b, key(1), 1)
			}
			sum = count(state) + 10
			putCount(state, sum)
			return true
		})
		if at.Overflow || conflicts != 3 || runs != 4 || sum != 13 || err != nil {
			t.Errorf("got %+v, %d conflicts, %d runs, count %d, %v, want 3 conflicts, 4 runs, 13, no error",
				at, conflicts, runs, sum, err)
		}
	})
	t.Run("for the last way of a set", func(t *testing.T) {
		runs := 0
		at, conflicts, err := update(a, key(2), func(state []byte, _ bool) bool {
			if runs++; runs == 1 {
				add(t, b, key(3), 1)
			}
			putCount(state, count(state)+1)
			return true
		})
		if !at.Overflow || conflicts != 1 || runs != 2 || err != nil {
			t.Errorf("got %+v, %d conflicts, %d runs, %v, want the overflow, 1 conflict, 2 runs, no error",
				at, conflicts, runs, err)
		}
	})
	t.Run("in the overflow", func(t *testing.T) {
		runs := 0
		conflicts, err := change(a, Slot{key(2), true}, func(state []byte) bool {
			if runs++; runs == 1 {
				add(t, b, key(4), 1)
			}
			putCount(state, count(state)+1)
			return true
		})
		_, sum, _ := add(t, a, key(2), 0)
		if conflicts != 1 || sum != 3 || err != nil {
			t.Errorf("got %d conflicts, count %d, %v, want 1, 3, no error", conflicts, sum, err)
		}
	})
}

// TestKeyTableWorkersLoseNothing has 8 workers that count 6 keys at the same time, in a table that has ways for 4.
func TestKeyTableWorkersLoseNothing(t *testing.T) {
	const workers, keys, each = 8, 6, 300
	store := NewMemory()
	var want atomic.Uint64
	var running sync.WaitGroup
	for w := range workers {
		running.Go(func() {
			table := NewKeyTable(store, "aws", 4)
			for i := range each {
				_, _, err := update(table, key((w+i)%keys), func(state []byte, _ bool) bool {
					putCount(state, count(state)+1)
					return true
				})
				switch {
				case err == nil:
					want.Add(1)
				case !errors.Is(err, ErrContended):
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	table := NewKeyTable(store, "aws", 4)
	got, ways := uint64(0), 0
	for n := range keys {
		if at, sum, _ := add(t, table, key(n), 0); !at.Overflow {
			got += sum
			ways++
		}
	}
	if _, err := change(table, Slot{Overflow: true}, func(state []byte) bool { got += count(state); return false }); err != nil {
		t.Fatal(err)
	}
	if got != want.Load() || ways != 4 {
		t.Errorf("got a sum of %d in %d ways, want %d in 4", got, ways, want.Load())
	}
}

// tableModel is what a KeyTable must do: a key has a count of its own, unless it has none while all ways of its set
// have one.
type tableModel struct {
	ways, sets int
	counts     map[int]uint64 // of the keys whose count is not 0
	overflow   uint64
}

func (m *tableModel) overflows(n int) bool {
	inUse := 0
	for other := range m.counts {
		if other%m.sets == n%m.sets {
			inUse++
		}
	}
	return m.counts[n] == 0 && inUse == m.ways
}

func (m *tableModel) set(n int, overflow bool, value uint64) {
	switch {
	case overflow:
		m.overflow = value
	case value == 0:
		delete(m.counts, n)
	default:
		m.counts[n] = value
	}
}

func (m *tableModel) get(n int, overflow bool) uint64 {
	if overflow {
		return m.overflow
	}
	return m.counts[n]
}

// TestKeyTableModel holds two workers' tables over one store to the model.
func TestKeyTableModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := NewMemory()
		const keys, room = 70, 40 // 2 sets of 32 ways
		workers := []*KeyTable{NewKeyTable(store, "aws", room), NewKeyTable(store, "aws", room)}
		model := &tableModel{ways: workers[0].set.most, sets: int(workers[0].sets), counts: map[int]uint64{}}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			table := rapid.SampledFrom(workers).Draw(t, "worker")
			n := rapid.IntRange(0, keys-1).Draw(t, "key")
			value, stores := uint64(rapid.IntRange(0, 2).Draw(t, "value")), rapid.Bool().Draw(t, "stores")
			switch rapid.SampledFrom([]string{"update", "update", "update", "change", "clear"}).Draw(t, "op") {
			case "update":
				overflow := model.overflows(n)
				before, fresh := uint64(0), false
				at, conflicts, err := update(table, key(n), func(state []byte, isFresh bool) bool {
					before, fresh = count(state), isFresh
					putCount(state, value)
					return stores
				})
				if want := model.get(n, overflow); at != (Slot{key(n), overflow}) || before != want || conflicts != 0 || err != nil {
					t.Fatalf("Update of key %d: got %+v, count %d, %d conflicts, %v, want overflow %v, count %d, none",
						n, at, before, conflicts, err, overflow, want)
				}
				if fresh && before != 0 {
					t.Fatalf("Update of key %d: got fresh, want the state of count %d, overflow %v", n, before, overflow)
				}
				if stores {
					model.set(n, overflow, value)
				}
			case "change":
				overflow := rapid.Bool().Draw(t, "overflow")
				ran := false
				_, err := change(table, Slot{key(n), overflow}, func(state []byte) bool {
					ran = true
					if got, want := count(state), model.get(n, overflow); got != want {
						t.Fatalf("Change of key %d, overflow %v: got %d, want %d", n, overflow, got, want)
					}
					putCount(state, value)
					return stores
				})
				if err != nil || (!ran && (overflow || model.counts[n] != 0)) {
					t.Fatalf("Change of key %d, overflow %v: got ran %v, %v, want true, no error", n, overflow, ran, err)
				}
				if ran && stores {
					model.set(n, overflow, value)
				}
			case "clear":
				if err := table.Clear(); err != nil {
					t.Fatal(err)
				}
				model.counts, model.overflow = map[int]uint64{}, 0
			}
			if most := model.sets + 1; store.Len() > most {
				t.Fatalf("got %d records, want at most %d", store.Len(), most)
			}
		}
	})
}

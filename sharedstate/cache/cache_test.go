package cache

import (
	"errors"
	"fmt"
	"testing"

	"github.com/weir-mesh/weir/sharedstate"
)

// TestMoments has one worker for each letter, all with the same cluster of two entries.
func TestMoments(t *testing.T) {
	const s = second
	type what int
	const (
		store what = iota // key n, whose request began and whose headers came at these times
		due
		get
		invalidate
		invalidatePath
	)
	type moment struct {
		at            int64
		worker        byte
		do            what
		key           int
		began, stored int64
		no            bool  // not stored, not due
		found         int64 // get: the time it was stored, -1: a miss
	}
	for _, tc := range []struct {
		name    string
		moments []moment
	}{
		{"stored by one, found by the other", []moment{
			{worker: 'a', do: get, key: 1, found: -1},
			{at: 10 * s, worker: 'a', do: due, key: 1},
			{at: 11 * s, worker: 'a', do: store, key: 1, began: 9 * s, stored: 10 * s},
			{worker: 'a', do: get, key: 1, found: 10 * s},
			{worker: 'b', do: get, key: 1, found: 10 * s},
			{worker: 'b', do: get, key: 2, found: -1},
		}},
		{"once a second, over all workers", []moment{
			{at: 10 * s, worker: 'a', do: store, key: 1, began: 10 * s, stored: 10 * s},
			{at: 10 * s, worker: 'a', do: due, key: 1, no: true},
			{at: 10 * s, worker: 'b', do: due, key: 1, no: true},
			{at: 10 * s, worker: 'b', do: due, key: 2},
			{at: 11*s - 1, worker: 'a', do: due, key: 1, no: true},
			{at: 11*s - 1, worker: 'b', do: due, key: 1, no: true},
			{at: 11*s - 1, worker: 'b', do: store, key: 1, began: 11*s - 1, stored: 11*s - 1, no: true},
			{at: 11 * s, worker: 'a', do: due, key: 1},
			{at: 11 * s, worker: 'b', do: due, key: 1},
			{at: 11 * s, worker: 'b', do: store, key: 1, began: 11 * s, stored: 11 * s},
			{worker: 'a', do: get, key: 1, found: 11 * s},
			{at: 11 * s, worker: 'a', do: due, key: 1, no: true},
		}},
		{"a body that took long is as old as its headers", []moment{
			{at: 20 * s, worker: 'a', do: store, key: 1, began: 10 * s, stored: 11 * s},
			{at: 20 * s, worker: 'b', do: store, key: 1, began: 11 * s, stored: 12*s - 1, no: true},
			{at: 20 * s, worker: 'b', do: store, key: 1, began: 11 * s, stored: 12 * s},
			{worker: 'a', do: get, key: 1, found: 12 * s},
		}},
		{"an older answer never replaces a newer one", []moment{
			{at: 20 * s, worker: 'a', do: store, key: 1, began: 20 * s, stored: 20 * s},
			{at: 30 * s, worker: 'b', do: store, key: 1, began: 5 * s, stored: 10 * s, no: true},
			{at: 30 * s, worker: 'b', do: store, key: 1, began: 5 * s, stored: 20 * s, no: true},
			{worker: 'b', do: get, key: 1, found: 20 * s},
		}},
		{"the least recently stored goes", []moment{
			{at: 10 * s, worker: 'a', do: store, key: 1, began: 10 * s, stored: 10 * s},
			{at: 11 * s, worker: 'b', do: store, key: 2, began: 11 * s, stored: 11 * s},
			{at: 12 * s, worker: 'a', do: store, key: 1, began: 12 * s, stored: 12 * s},
			{at: 13 * s, worker: 'b', do: store, key: 3, began: 13 * s, stored: 13 * s},
			{worker: 'a', do: get, key: 1, found: 12 * s},
			{worker: 'a', do: get, key: 2, found: -1},
			{worker: 'a', do: get, key: 3, found: 13 * s},
		}},
		{"invalidated, and what was under way is not stored", []moment{
			{at: 10 * s, worker: 'a', do: store, key: 1, began: 10 * s, stored: 10 * s},
			{at: 20 * s, worker: 'b', do: invalidate},
			{worker: 'a', do: get, key: 1, found: -1},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 19 * s, stored: 21 * s, no: true},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 20 * s, stored: 21 * s, no: true},
			{at: 21 * s, worker: 'a', do: due, key: 1},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 20*s + 1, stored: 21 * s},
			{worker: 'b', do: get, key: 1, found: 21 * s},
		}},
		{"invalidated before anything was stored", []moment{
			{at: 20 * s, worker: 'a', do: invalidate},
			{at: 21 * s, worker: 'b', do: store, key: 1, began: 20 * s, stored: 21 * s, no: true},
			{at: 22 * s, worker: 'b', do: store, key: 1, began: 21 * s, stored: 22 * s},
		}},
		{"invalidated by path", []moment{ // a key's path is its number modulo 4
			{at: 10 * s, worker: 'a', do: store, key: 1, began: 10 * s, stored: 10 * s},
			{at: 10 * s, worker: 'a', do: store, key: 2, began: 10 * s, stored: 10 * s},
			{at: 20 * s, worker: 'b', do: invalidatePath, key: 5},
			{worker: 'a', do: get, key: 1, found: -1},
			{worker: 'a', do: get, key: 2, found: 10 * s},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 20 * s, stored: 21 * s, no: true},
			{at: 21 * s, worker: 'a', do: store, key: 2, began: 20 * s, stored: 21 * s, no: true},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 21 * s, stored: 21 * s},
		}},
		{"invalidated by an earlier worker's clock: the later moment holds", []moment{
			{at: 20 * s, worker: 'a', do: invalidate},
			{at: 20*s - 5, worker: 'b', do: invalidate},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 20 * s, stored: 21 * s, no: true},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 20*s + 1, stored: 21 * s},
		}},
		{"a worker that stalled since it looked at the clock moves nothing back", []moment{
			{at: 20 * s, worker: 'a', do: invalidate},
			{at: 15 * s, worker: 'b', do: store, key: 1, began: 14 * s, stored: 15 * s, no: true},
			{at: 15 * s, worker: 'b', do: invalidate},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 19 * s, stored: 21 * s, no: true},
			{at: 22 * s, worker: 'a', do: store, key: 2, began: 21 * s, stored: 22 * s},
			{at: 21*s + 1, worker: 'b', do: store, key: 2, began: 20*s + 1, stored: 20*s + 2, no: true},
			{at: 20 * s, worker: 'b', do: due, key: 2, no: true},
			{worker: 'b', do: get, key: 2, found: 22 * s},
		}},
		{"times in no order", []moment{
			{at: 10 * s, worker: 'a', do: store, key: 1, began: 11 * s, stored: 10 * s, no: true},
			{at: 10 * s, worker: 'a', do: store, key: 1, began: 10 * s, stored: 11 * s, no: true},
			{worker: 'a', do: get, key: 1, found: -1},
		}},
		{"a clock that went back: nothing is refused for ever", []moment{
			{at: 1000 * s, worker: 'a', do: store, key: 1, began: 1000 * s, stored: 1000 * s},
			{at: 1000 * s, worker: 'a', do: invalidatePath, key: 2},
			{at: 10 * s, worker: 'b', do: due, key: 1},
			{at: 10 * s, worker: 'b', do: store, key: 1, began: 10 * s, stored: 10 * s, no: true}, // the invalidation is put where the clock is
			{at: 11 * s, worker: 'a', do: store, key: 1, began: 10 * s, stored: 11 * s, no: true},
			{at: 11 * s, worker: 'a', do: store, key: 1, began: 10*s + 1, stored: 11 * s},
			{worker: 'b', do: get, key: 1, found: 11 * s},
			{at: 11 * s, worker: 'b', do: invalidate},
			{at: 11 * s, worker: 'b', do: store, key: 1, began: 11 * s, stored: 11 * s, no: true},
		}},
		{"a clock that went back after an invalidation", []moment{
			{at: 1000 * s, worker: 'a', do: invalidate},
			{at: 10 * s, worker: 'a', do: invalidate},
			{at: 11 * s, worker: 'b', do: store, key: 1, began: 10 * s, stored: 11 * s, no: true},
			{at: 11 * s, worker: 'b', do: store, key: 1, began: 11 * s, stored: 11 * s},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := sharedstate.NewMemory()
			workers := map[byte]*Cache{'a': New(m, "aws", 2), 'b': New(m, "aws", 2)}
			for i, moment := range tc.moments {
				c := workers[moment.worker]
				var err error
				switch moment.do {
				case store:
					var stored bool
					stored, _, err = c.Put(answer(moment.key, moment.stored, 100), moment.began, moment.at)
					if stored == moment.no {
						t.Errorf("moment %d: stored: %v", i, stored)
					}
				case due:
					var due bool
					due, err = c.Due(keyOf(moment.key), moment.at)
					if due == moment.no {
						t.Errorf("moment %d: due: %v", i, due)
					}
				case get:
					if found := holds(t, c, moment.key); found != moment.found {
						t.Errorf("moment %d: stored at %d, want %d", i, found, moment.found)
					}
				case invalidate:
					err = c.Invalidate(moment.at)
				case invalidatePath:
					err = c.InvalidatePath(uint64(moment.key%4), moment.at)
				}
				if err != nil {
					t.Errorf("moment %d: %v", i, err)
				}
			}
			audit(t, m, MaxBytes, MaxSegments, 4, true, "aws")
		})
	}
}

func TestWhatIsNoEntryIsNotStored(t *testing.T) {
	m := sharedstate.NewMemory()
	c := New(m, "aws", 2)
	torn := answer(1, second, 10)
	torn[headFixed-1]++
	for name, b := range map[string][]byte{
		"nothing":   nil,
		"text":      []byte("weir"),
		"torn":      torn,
		"too large": answer(1, second, MaxEntryBytes-headFixed+1),
	} {
		if stored, _, err := c.Put(b, second, second); stored || err != nil {
			t.Errorf("%s: stored %v (%v)", name, stored, err)
		}
	}
	if m.Len() != 0 {
		t.Errorf("%d keys", m.Len())
	}
	if !put(t, c, 1, second, MaxEntryBytes-headFixed) || holds(t, c, 1) != second {
		t.Error("the largest entry was not stored")
	}
}

// TestClusterNames has names that could be read as parts of another one's keys.
func TestClusterNames(t *testing.T) {
	m := sharedstate.NewMemory()
	names := []string{"", "a", "a/0", "a/0/0", "0/a", "0/0/a", "1/a", "index/0/a", "slot/0/0/a", "ledger", "a\x00b", "ä|é", "outbound|80||a.b.svc"}
	for i, name := range names {
		if !put(t, New(m, name, 600), i, second, 100+i) {
			t.Fatalf("%q: not stored", name)
		}
	}
	for i, name := range names {
		for j := range names {
			want := int64(-1)
			if i == j {
				want = second
			}
			if got := holds(t, New(m, name, 600), j); got != want {
				t.Errorf("%q holds %d of %q", name, got, names[j])
			}
		}
		if s, err := ReadStats(m, name); err != nil || s != (Stats{1, int64(headFixed + 100 + i), granule}) {
			t.Errorf("%q: %+v (%v)", name, s, err)
		}
	}
	if err := New(m, "a", 1).Invalidate(2 * second); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if got := holds(t, New(m, name, 600), i); (got == -1) != (name == "a") {
			t.Errorf("%q holds %d after an invalidation of \"a\"", name, got)
		}
	}
	audit(t, m, MaxBytes, MaxSegments, 8, true, names...)
}

func TestSegments(t *testing.T) {
	for _, tc := range []struct{ entries, segments, first, last int }{
		{-1, 1, 1, 1},
		{1, 1, 1, 1},
		{256, 1, 256, 256},
		{257, 2, 129, 128},
		{1000, 4, 250, 250},
		{4095, 16, 256, 255},
		{4096, 16, 256, 256},
		{1 << 30, 16, 256, 256},
	} {
		c := New(sharedstate.NewMemory(), "aws", tc.entries)
		sum := 0
		for s := range c.segments {
			sum += c.capacity(s)
		}
		if c.segments != tc.segments || c.capacity(0) != tc.first || c.capacity(c.segments-1) != tc.last || sum != min(max(tc.entries, 1), MaxEntries) {
			t.Errorf("%d entries: %d segments, %d to %d, %d in all", tc.entries, c.segments, c.capacity(0), c.capacity(c.segments-1), sum)
		}
	}
}

// TestPolicyChanges stores six hundred entries under one policy and goes on under another.
func TestPolicyChanges(t *testing.T) {
	for _, tc := range []struct{ before, after int }{{1000, 10}, {10, 1000}, {100, 256}, {4096, 257}} {
		t.Run(fmt.Sprintf("%d to %d", tc.before, tc.after), func(t *testing.T) {
			m := sharedstate.NewMemory()
			old, now := New(m, "aws", tc.before), New(m, "aws", tc.after)
			clock := second
			fill := func(c *Cache, from int) {
				for n := from; n < from+600; n++ {
					clock++
					if !put(t, c, n, clock, 100) {
						t.Fatalf("%d was not stored", n)
					}
				}
			}
			fill(old, 0)
			if s, err := ReadStats(m, "aws"); err != nil || s.Entries > tc.before || s.Entries < min(tc.before, 600)*9/10 {
				t.Fatalf("before: %+v (%v)", s, err)
			}
			fill(now, 600)
			s, err := ReadStats(m, "aws")
			if err != nil || s.Entries > tc.after || s.Entries < min(tc.after, 600)*9/10 || s.Bytes != int64(s.Entries)*(headFixed+100) {
				t.Fatalf("after: %+v (%v)", s, err)
			}
			if holds(t, now, 1199) != clock {
				t.Error("the newest is not there")
			}
			audit(t, m, MaxBytes, MaxSegments, SegmentWays, true, "aws")
			// A worker that still has the old policy, or gets it again, finds nothing that was invalidated meanwhile.
			if err := now.Invalidate(clock); err != nil {
				t.Fatal(err)
			}
			late, _, err := old.Put(answer(5, clock, 100), clock, clock)
			if err != nil || late {
				t.Errorf("stored, after an invalidation under another policy: %v (%v)", late, err)
			}
			for n := range 1200 {
				if holds(t, old, n) != -1 || holds(t, now, n) != -1 {
					t.Fatalf("%d came back", n)
				}
			}
			if s, err := ReadStats(m, "aws"); err != nil || s != (Stats{}) {
				t.Errorf("after an invalidation: %+v (%v)", s, err)
			}
			audit(t, m, MaxBytes, MaxSegments, SegmentWays, true, "aws")
		})
	}
}

// TestReadersBelieveWhatTheIndexSays has values in an entry's slot that are whole, and are not the one that is told of.
func TestReadersBelieveWhatTheIndexSays(t *testing.T) {
	const size = 50
	right := answer(1, 10*second, size)
	other := func(change func(m *Meta)) []byte {
		m := Meta{Key: keyOf(1), Path: 1, Stored: 10 * second, Status: 200, Lifetime: None, StaleIfError: None}
		change(&m)
		b, _ := AppendHead(nil, &m, noHeaders)
		return append(b, bodyOf(keyOf(1), 10*second, size)...)
	}
	for _, tc := range []struct {
		name  string
		value []byte
		found bool
	}{
		{"it is the one", right, true},
		{"made again", other(func(*Meta) {}), true},
		{"nothing", nil, false},
		{"another key", other(func(m *Meta) { m.Key.Lo++ }), false},
		{"another path", other(func(m *Meta) { m.Path++ }), false},
		{"an older answer to the same key", other(func(m *Meta) { m.Stored-- }), false},
		{"a newer answer to the same key", other(func(m *Meta) { m.Stored++ }), false},
		{"a shorter answer", answer(1, 10*second, size-1), false},
		{"a longer answer", answer(1, 10*second, size+1), false},
	} {
		m := sharedstate.NewMemory()
		c := New(m, "aws", 2)
		put(t, c, 1, 10*second, size)
		if _, ok := seal(tc.value); !ok && tc.value != nil {
			t.Fatalf("%s: no entry", tc.name)
		}
		if err := m.Set(SlotKey("aws", 0, 0), tc.value, 0); err != nil {
			t.Fatal(err)
		}
		if _, found, err := c.Get(keyOf(1)); found != tc.found || err != nil {
			t.Errorf("%s: found %v (%v)", tc.name, found, err)
		}
	}
}

// overtaken is a store in which another worker does something between a reader's first two calls.
type overtaken struct {
	*sharedstate.Memory
	between func()
	calls   int
}

func (s *overtaken) Get(key string) ([]byte, uint32, error) {
	if s.calls++; s.calls == 2 {
		s.between()
	}
	return s.Memory.Get(key)
}

func TestReadersFindWhatIsRefreshedMeanwhile(t *testing.T) {
	m := sharedstate.NewMemory()
	writer := New(m, "aws", 2)
	put(t, writer, 1, 10*second, 100)
	reader := New(&overtaken{Memory: m, between: func() { put(t, writer, 1, 20*second, 100) }}, "aws", 2)
	if found := holds(t, reader, 1); found != 20*second {
		t.Errorf("stored at %d", found)
	}
}

type broken struct{ error }

func (b broken) Get(string) ([]byte, uint32, error) { return nil, 0, b.error }
func (b broken) Set(string, []byte, uint32) error   { return b.error }

func TestTheStoresFaultIsNamed(t *testing.T) {
	fault := errors.New("host on fire")
	c := New(broken{fault}, "aws", 2)
	if _, found, err := c.Get(keyOf(1)); found || !errors.Is(err, fault) {
		t.Errorf("get: %v (%v)", found, err)
	}
	if due, err := c.Due(keyOf(1), 0); due || !errors.Is(err, fault) {
		t.Errorf("due: %v (%v)", due, err)
	}
	if stored, _, err := c.Put(answer(1, 1, 1), 1, 1); stored || !errors.Is(err, fault) {
		t.Errorf("put: %v (%v)", stored, err)
	}
	if err := c.Invalidate(1); !errors.Is(err, fault) {
		t.Errorf("invalidate: %v", err)
	}
	if err := c.InvalidatePath(1, 1); !errors.Is(err, fault) {
		t.Errorf("invalidate path: %v", err)
	}
	if _, err := ReadStats(broken{fault}, "aws"); !errors.Is(err, fault) {
		t.Errorf("stats: %v", err)
	}
}

// TestForeignValues has a stranger's bytes under each of the keys: they are no entries, and are written over.
func TestForeignValues(t *testing.T) {
	for _, stranger := range []string{"", "x", "a value of somebody else that is longer than any head of ours, by a byte or so"} {
		m := sharedstate.NewMemory()
		for _, key := range []string{LedgerKey, IndexKey("aws", 0), SlotKey("aws", 0, 0), SlotKey("aws", 0, 1)} {
			if err := m.Set(key, []byte(stranger), sharedstate.CreateCAS); err != nil {
				t.Fatal(err)
			}
		}
		c := New(m, "aws", 2)
		if holds(t, c, 1) != -1 {
			t.Errorf("%q: found", stranger)
		}
		if s, err := ReadStats(m, "aws"); s != (Stats{}) || err != nil {
			t.Errorf("%q: %+v (%v)", stranger, s, err)
		}
		for n := range 3 {
			if !put(t, c, n, second+int64(n), 10) || holds(t, c, n) != second+int64(n) {
				t.Errorf("%q: %d was not stored", stranger, n)
			}
		}
		audit(t, m, MaxBytes, MaxSegments, 4, true, "aws")
	}
}

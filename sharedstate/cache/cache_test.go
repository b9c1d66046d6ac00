package cache

import (
	"errors"
	"fmt"
	"testing"

	"github.com/weir-mesh/weir/sharedstate"
)

// TestSteps has one worker for each letter, all with the same cluster of two entries.
func TestSteps(t *testing.T) {
	const s = second
	type what int
	const (
		store what = iota // key n, whose request began and whose headers came at these times
		due
		get
		invalidate
		invalidatePath
		replace // the entry of key n that was stored at found
	)
	type step struct {
		at            int64
		worker        byte
		do            what
		key           int
		began, stored int64
		no            bool  // not stored, not due
		found         int64 // get, replace: the time it was stored, -1: a miss
	}
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"stored by one, found by the other", []step{
			{worker: 'a', do: get, key: 1, found: -1},
			{at: 10 * s, worker: 'a', do: due, key: 1},
			{at: 11 * s, worker: 'a', do: store, key: 1, began: 9 * s, stored: 10 * s},
			{worker: 'a', do: get, key: 1, found: 10 * s},
			{worker: 'b', do: get, key: 1, found: 10 * s},
			{worker: 'b', do: get, key: 2, found: -1},
		}},
		{"once a second, over all workers", []step{
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
		{"a body that took long is as old as its headers", []step{
			{at: 20 * s, worker: 'a', do: store, key: 1, began: 10 * s, stored: 11 * s},
			{at: 20 * s, worker: 'b', do: store, key: 1, began: 11 * s, stored: 12*s - 1, no: true},
			{at: 20 * s, worker: 'b', do: store, key: 1, began: 11 * s, stored: 12 * s},
			{worker: 'a', do: get, key: 1, found: 12 * s},
		}},
		{"an older answer never replaces a newer one", []step{
			{at: 20 * s, worker: 'a', do: store, key: 1, began: 20 * s, stored: 20 * s},
			{at: 30 * s, worker: 'b', do: store, key: 1, began: 5 * s, stored: 10 * s, no: true},
			{at: 30 * s, worker: 'b', do: store, key: 1, began: 5 * s, stored: 20 * s, no: true},
			{worker: 'b', do: get, key: 1, found: 20 * s},
		}},
		{"the least recently stored goes", []step{
			{at: 10 * s, worker: 'a', do: store, key: 1, began: 10 * s, stored: 10 * s},
			{at: 11 * s, worker: 'b', do: store, key: 2, began: 11 * s, stored: 11 * s},
			{at: 12 * s, worker: 'a', do: store, key: 1, began: 12 * s, stored: 12 * s},
			{at: 13 * s, worker: 'b', do: store, key: 3, began: 13 * s, stored: 13 * s},
			{worker: 'a', do: get, key: 1, found: 12 * s},
			{worker: 'a', do: get, key: 2, found: -1},
			{worker: 'a', do: get, key: 3, found: 13 * s},
		}},
		{"invalidated, and what was under way is not stored", []step{
			{at: 10 * s, worker: 'a', do: store, key: 1, began: 10 * s, stored: 10 * s},
			{at: 20 * s, worker: 'b', do: invalidate},
			{worker: 'a', do: get, key: 1, found: -1},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 19 * s, stored: 21 * s, no: true},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 20 * s, stored: 21 * s, no: true},
			{at: 21 * s, worker: 'a', do: due, key: 1},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 20*s + 1, stored: 21 * s},
			{worker: 'b', do: get, key: 1, found: 21 * s},
		}},
		{"invalidated before anything was stored", []step{
			{at: 20 * s, worker: 'a', do: invalidate},
			{at: 21 * s, worker: 'b', do: store, key: 1, began: 20 * s, stored: 21 * s, no: true},
			{at: 22 * s, worker: 'b', do: store, key: 1, began: 21 * s, stored: 22 * s},
		}},
		{"invalidated by path", []step{ // a key's path is its number modulo 4
			{at: 10 * s, worker: 'a', do: store, key: 1, began: 10 * s, stored: 10 * s},
			{at: 10 * s, worker: 'a', do: store, key: 2, began: 10 * s, stored: 10 * s},
			{at: 20 * s, worker: 'b', do: invalidatePath, key: 5},
			{worker: 'a', do: get, key: 1, found: -1},
			{worker: 'a', do: get, key: 2, found: 10 * s},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 20 * s, stored: 21 * s, no: true},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 21 * s, stored: 21 * s},
		}},
		{"replaced, although another path was invalidated meanwhile", []step{
			{at: 10 * s, worker: 'a', do: store, key: 1, began: 10 * s, stored: 10 * s},
			{at: 10 * s, worker: 'a', do: store, key: 2, began: 10 * s, stored: 10 * s},
			{at: 20 * s, worker: 'b', do: invalidatePath, key: 6},
			{at: 21 * s, worker: 'a', do: replace, key: 1, found: 10 * s, began: 19 * s, stored: 21 * s},
			{worker: 'b', do: get, key: 1, found: 21 * s},
			{at: 21 * s, worker: 'a', do: replace, key: 2, found: 10 * s, began: 19 * s, stored: 21 * s, no: true},
			{worker: 'b', do: get, key: 2, found: -1},
		}},
		{"a path is removed: what began before is stored of other paths alone", []step{
			{at: 10 * s, worker: 'a', do: store, key: 1, began: 10 * s, stored: 10 * s},
			{at: 20 * s, worker: 'b', do: invalidatePath, key: 5}, // of path 1
			{worker: 'a', do: get, key: 1, found: -1},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 20 * s, stored: 21 * s, no: true},
			{at: 21 * s, worker: 'a', do: store, key: 2, began: 19 * s, stored: 21 * s},
			{at: 22 * s, worker: 'b', do: invalidatePath, key: 3}, // nothing is kept of path 3
			{at: 23 * s, worker: 'a', do: store, key: 3, began: 22 * s, stored: 23 * s, no: true},
			{at: 23 * s, worker: 'b', do: store, key: 3, began: 22*s + 1, stored: 23 * s},
		}},
		{"a path is removed by a clock that went back: nothing is refused for ever", []step{
			{at: 1000 * s, worker: 'a', do: invalidatePath, key: 1},
			{at: 10 * s, worker: 'b', do: store, key: 1, began: 9 * s, stored: 10 * s},
			{at: 11 * s, worker: 'b', do: invalidatePath, key: 2},
			{at: 12 * s, worker: 'a', do: store, key: 1, began: 11 * s, stored: 12 * s},
			{at: 12 * s, worker: 'a', do: store, key: 2, began: 11 * s, stored: 12 * s, no: true},
		}},
		{"not replaced where it was stored again, or within a second", []step{
			{at: 10 * s, worker: 'a', do: store, key: 1, began: 10 * s, stored: 10 * s},
			{at: 11*s - 1, worker: 'b', do: replace, key: 1, found: 10 * s, began: 10 * s, stored: 11*s - 1, no: true},
			{at: 12 * s, worker: 'b', do: store, key: 1, began: 11 * s, stored: 12 * s},
			{at: 20 * s, worker: 'a', do: replace, key: 1, found: 10 * s, began: 11 * s, stored: 20 * s, no: true},
			{worker: 'a', do: get, key: 1, found: 12 * s},
			{at: 20 * s, worker: 'a', do: replace, key: 1, found: 12 * s, began: 11 * s, stored: 20 * s},
			{worker: 'b', do: get, key: 1, found: 20 * s},
		}},
		{"invalidated by an earlier worker's clock: the later time counts", []step{
			{at: 20 * s, worker: 'a', do: invalidate},
			{at: 20*s - 5, worker: 'b', do: invalidate},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 20 * s, stored: 21 * s, no: true},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 20*s + 1, stored: 21 * s},
		}},
		{"a worker that stalled since it looked at the clock moves nothing back", []step{
			{at: 20 * s, worker: 'a', do: invalidate},
			{at: 15 * s, worker: 'b', do: store, key: 1, began: 14 * s, stored: 15 * s, no: true},
			{at: 15 * s, worker: 'b', do: invalidate},
			{at: 21 * s, worker: 'a', do: store, key: 1, began: 19 * s, stored: 21 * s, no: true},
			{at: 22 * s, worker: 'a', do: store, key: 2, began: 21 * s, stored: 22 * s},
			{at: 21*s + 1, worker: 'b', do: store, key: 2, began: 20*s + 1, stored: 20*s + 2, no: true},
			{at: 20 * s, worker: 'b', do: due, key: 2, no: true},
			{worker: 'b', do: get, key: 2, found: 22 * s},
		}},
		{"times in no order", []step{
			{at: 10 * s, worker: 'a', do: store, key: 1, began: 11 * s, stored: 10 * s, no: true},
			{at: 10 * s, worker: 'a', do: store, key: 1, began: 10 * s, stored: 11 * s, no: true},
			{worker: 'a', do: get, key: 1, found: -1},
		}},
		{"a clock that went back: nothing is refused for ever", []step{
			{at: 1000 * s, worker: 'a', do: store, key: 1, began: 1000 * s, stored: 1000 * s},
			{at: 1000 * s, worker: 'a', do: invalidate},
			{at: 10 * s, worker: 'b', do: due, key: 1},
			{at: 10 * s, worker: 'b', do: store, key: 1, began: 10 * s, stored: 10 * s, no: true}, // the invalidation is put where the clock is
			{at: 11 * s, worker: 'a', do: store, key: 1, began: 10 * s, stored: 11 * s, no: true},
			{at: 11 * s, worker: 'a', do: store, key: 1, began: 10*s + 1, stored: 11 * s},
			{worker: 'b', do: get, key: 1, found: 11 * s},
			{at: 11 * s, worker: 'b', do: invalidate},
			{at: 11 * s, worker: 'b', do: store, key: 1, began: 11 * s, stored: 11 * s, no: true},
		}},
		{"a clock that went back after an invalidation", []step{
			{at: 1000 * s, worker: 'a', do: invalidate},
			{at: 10 * s, worker: 'a', do: invalidate},
			{at: 11 * s, worker: 'b', do: store, key: 1, began: 10 * s, stored: 11 * s, no: true},
			{at: 11 * s, worker: 'b', do: store, key: 1, began: 11 * s, stored: 11 * s},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := sharedstate.NewMemory()
			workers := map[byte]*Cache{'a': New(m, "aws", 2), 'b': New(m, "aws", 2)}
			for i, step := range tc.steps {
				c := workers[step.worker]
				var err error
				switch step.do {
				case store:
					var stored bool
					stored, _, err = c.Put(answer(step.key, step.stored, 100), step.began, step.at)
					if stored == step.no {
						t.Errorf("step %d: got stored %v, want %v", i, stored, !step.no)
					}
				case replace:
					var stored bool
					stored, _, err = c.Replace(answer(step.key, step.stored, 100), step.found, step.began, step.at)
					if stored == step.no {
						t.Errorf("step %d: got replaced %v, want %v", i, stored, !step.no)
					}
				case due:
					var due bool
					due, err = c.Due(keyOf(step.key), step.at)
					if due == step.no {
						t.Errorf("step %d: got due %v, want %v", i, due, !step.no)
					}
				case get:
					if found := holds(t, c, step.key); found != step.found {
						t.Errorf("step %d: got an entry stored at %d, want %d (-1: none)", i, found, step.found)
					}
				case invalidate:
					err = c.Invalidate(step.at)
				case invalidatePath:
					_, err = c.RemovePath(pathOf(step.key), step.at)
				}
				if err != nil {
					t.Errorf("step %d: %v", i, err)
				}
			}
			audit(t, m, MaxBytes, MaxSegments, 4, true, "aws")
		})
	}
}

func TestInvalidEntriesAreNotStored(t *testing.T) {
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
			t.Errorf("%s: got stored %v, %v, want false, no error", name, stored, err)
		}
	}
	if m.Len() != 0 {
		t.Errorf("got %d keys, want 0", m.Len())
	}
	if !put(t, c, 1, second, MaxEntryBytes-headFixed) || holds(t, c, 1) != second {
		t.Error("the largest entry: got none stored, want it")
	}
}

// TestClusterNames has names that could be read as parts of another one's keys.
func TestClusterNames(t *testing.T) {
	m := sharedstate.NewMemory()
	names := []string{
		"", "a", "a/0", "a/0/0", "0/a", "0/0/a", "1/a", "index/0/a", "slot/0/0/a", "ledger", "a\x00b", "ä|é",
		"outbound|80||a.b.svc",
	}
	for i, name := range names {
		if !put(t, New(m, name, 600), i, second, 100+i) {
			t.Fatalf("%q: got not stored, want stored", name)
		}
	}
	for i, name := range names {
		for j := range names {
			want := int64(-1)
			if i == j {
				want = second
			}
			if got := holds(t, New(m, name, 600), j); got != want {
				t.Errorf("%q: got an entry of %q stored at %d, want %d (-1: none)", name, names[j], got, want)
			}
		}
		if s, err := ReadStats(m, name); err != nil || s != (Stats{1, int64(headFixed + 100 + i), granule}) {
			t.Errorf("%q: got %+v, %v, want 1 entry of %d bytes", name, s, err, headFixed+100+i)
		}
	}
	if err := New(m, "a", 1).Invalidate(2 * second); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if got := holds(t, New(m, name, 600), i); (got == -1) != (name == "a") {
			t.Errorf("%q after an invalidation of \"a\": got an entry stored at %d, want none of \"a\" only", name, got)
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
		first, last, total := c.capacity(0), c.capacity(c.segments-1), min(max(tc.entries, 1), MaxEntries)
		if c.segments != tc.segments || first != tc.first || last != tc.last || sum != total {
			t.Errorf("%d entries: got %d segments of %d to %d, %d in all, want %d of %d to %d, %d",
				tc.entries, c.segments, first, last, sum, tc.segments, tc.first, tc.last, total)
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
						t.Fatalf("entry %d: got not stored, want stored", n)
					}
				}
			}
			fill(old, 0)
			if s, err := ReadStats(m, "aws"); err != nil || s.Entries > tc.before || s.Entries < min(tc.before, 600)*9/10 {
				t.Fatalf("before: got %+v, %v, want almost %d entries", s, err, min(tc.before, 600))
			}
			fill(now, 600)
			s, err := ReadStats(m, "aws")
			if err != nil || s.Entries > tc.after || s.Entries < min(tc.after, 600)*9/10 ||
				s.Bytes != int64(s.Entries)*(headFixed+100) {
				t.Fatalf("after: got %+v, %v, want almost %d entries of %d bytes", s, err, min(tc.after, 600), headFixed+100)
			}
			if holds(t, now, 1199) != clock {
				t.Error("the newest entry: got none, want it")
			}
			audit(t, m, MaxBytes, MaxSegments, SegmentWays, true, "aws")
			// A worker that still has the old policy, or gets it again, finds nothing that was invalidated meanwhile.
			if err := now.Invalidate(clock); err != nil {
				t.Fatal(err)
			}
			late, _, err := old.Put(answer(5, clock, 100), clock, clock)
			if err != nil || late {
				t.Errorf("after an invalidation under another policy: got stored %v, %v, want false", late, err)
			}
			for n := range 1200 {
				if holds(t, old, n) != -1 || holds(t, now, n) != -1 {
					t.Fatalf("entry %d after an invalidation: got it, want none", n)
				}
			}
			if s, err := ReadStats(m, "aws"); err != nil || s != (Stats{}) {
				t.Errorf("after an invalidation: got %+v, %v, want none", s, err)
			}
			audit(t, m, MaxBytes, MaxSegments, SegmentWays, true, "aws")
		})
	}
}

// TestReadersCompareWithTheIndex has complete entries in a slot that are not the one that the index lists.
func TestReadersCompareWithTheIndex(t *testing.T) {
	const size = 50
	right := answer(1, 10*second, size)
	other := func(change func(m *Meta)) []byte {
		m := Meta{Key: keyOf(1), Path: pathOf(1), Stored: 10 * second, Status: 200, Lifetime: None, StaleIfError: None}
		change(&m)
		b, _ := AppendHead(nil, &m, noHeaders)
		return append(b, bodyOf(keyOf(1), 10*second, size)...)
	}
	for _, tc := range []struct {
		name  string
		value []byte
		found bool
	}{
		{"the entry", right, true},
		{"an equal entry", other(func(*Meta) {}), true},
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
			t.Fatalf("%s: got invalid bytes, want an entry", tc.name)
		}
		if err := m.Set(SlotKey("aws", 0, 0), tc.value, 0); err != nil {
			t.Fatal(err)
		}
		if _, found, err := c.Get(keyOf(1)); found != tc.found || err != nil {
			t.Errorf("%s: got found %v, %v, want %v", tc.name, found, err, tc.found)
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

func TestReadersFindAnEntryThatIsRefreshedMeanwhile(t *testing.T) {
	m := sharedstate.NewMemory()
	writer := New(m, "aws", 2)
	put(t, writer, 1, 10*second, 100)
	reader := New(&overtaken{Memory: m, between: func() { put(t, writer, 1, 20*second, 100) }}, "aws", 2)
	if found := holds(t, reader, 1); found != 20*second {
		t.Errorf("got an entry stored at %d, want %d", found, 20*second)
	}
}

type broken struct{ error }

func (b broken) Get(string) ([]byte, uint32, error) { return nil, 0, b.error }
func (b broken) Set(string, []byte, uint32) error   { return b.error }

func TestTheStoresErrorIsReturned(t *testing.T) {
	fault := errors.New("host on fire")
	c := New(broken{fault}, "aws", 2)
	if _, found, err := c.Get(keyOf(1)); found || !errors.Is(err, fault) {
		t.Errorf("Get: got found %v, %v, want false, %v", found, err, fault)
	}
	if due, err := c.Due(keyOf(1), 0); due || !errors.Is(err, fault) {
		t.Errorf("Due: got %v, %v, want false, %v", due, err, fault)
	}
	if stored, _, err := c.Put(answer(1, 1, 1), 1, 1); stored || !errors.Is(err, fault) {
		t.Errorf("Put: got stored %v, %v, want false, %v", stored, err, fault)
	}
	if err := c.Invalidate(1); !errors.Is(err, fault) {
		t.Errorf("Invalidate: got %v, want %v", err, fault)
	}
	if err := c.InvalidatePath(1, 1); !errors.Is(err, fault) {
		t.Errorf("InvalidatePath: got %v, want %v", err, fault)
	}
	if _, err := c.RemovePath(1, 1); !errors.Is(err, fault) {
		t.Errorf("RemovePath: got %v, want %v", err, fault)
	}
	if _, err := ReadStats(broken{fault}, "aws"); !errors.Is(err, fault) {
		t.Errorf("ReadStats: got %v, want %v", err, fault)
	}
}

// TestForeignValues has another filter's bytes under each of the keys: they are not entries, and are overwritten.
func TestForeignValues(t *testing.T) {
	for _, foreign := range []string{"", "x", "a value of another filter that is longer than the head of an entry"} {
		m := sharedstate.NewMemory()
		for _, key := range []string{LedgerKey, MarksKey("aws"), IndexKey("aws", 0), SlotKey("aws", 0, 0), SlotKey("aws", 0, 1)} {
			if err := m.Set(key, []byte(foreign), sharedstate.CreateCAS); err != nil {
				t.Fatal(err)
			}
		}
		c := New(m, "aws", 2)
		if holds(t, c, 1) != -1 {
			t.Errorf("%q: got an entry, want none", foreign)
		}
		if s, err := ReadStats(m, "aws"); s != (Stats{}) || err != nil {
			t.Errorf("%q: got %+v, %v, want none", foreign, s, err)
		}
		for n := range 3 {
			if !put(t, c, n, second+int64(n), 10) || holds(t, c, n) != second+int64(n) {
				t.Errorf("%q: entry %d: got not stored, want stored", foreign, n)
			}
		}
		audit(t, m, MaxBytes, MaxSegments, 4, true, "aws")
	}
}

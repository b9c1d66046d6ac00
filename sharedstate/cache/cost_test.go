package cache

import (
	"fmt"
	"testing"

	"github.com/weir-mesh/weir/sharedstate"
)

// TestCalls counts the calls of the store that each operation makes.
func TestCalls(t *testing.T) {
	s := newValued()
	c := New(s, "aws", 256)
	clock := 100 * second
	for n := range 255 {
		clock++
		put(t, c, n, clock, 4000)
	}
	for _, tc := range []struct {
		name string
		most int
		do   func()
	}{
		{"a path that was stored this second is not due", 0, func() {
			if due, err := c.Due(keyOf(7), clock); due || err != nil {
				t.Errorf("Due: got %v, %v, want false, no error", due, err)
			}
		}},
		{"due", 1, func() {
			if due, err := c.Due(keyOf(7), clock+2*second); !due || err != nil {
				t.Errorf("Due: got %v, %v, want true, no error", due, err)
			}
		}},
		{"get", 2, func() {
			if holds(t, c, 7) < 0 {
				t.Error("got no entry, want one")
			}
		}},
		{"a miss", 1, func() {
			if holds(t, c, 1000) >= 0 {
				t.Error("got an entry, want none")
			}
		}},
		{"store anew", 5, func() { // index, slot; index, marks, slot
			if clock += 2 * second; !put(t, c, 7, clock, 4000) {
				t.Error("got not stored, want stored")
			}
		}},
		{"store another, in a free slot", 7, func() { // at the most the ledger besides
			if clock += 2 * second; !put(t, c, 300, clock, 4000) {
				t.Error("got not stored, want stored")
			}
		}},
		{"store another, one goes", 5, func() {
			if clock += 2 * second; !put(t, c, 301, clock, 4000) {
				t.Error("got not stored, want stored")
			}
		}},
		{"store too soon", 1, func() {
			if clock++; put(t, c, 301, clock, 4000) {
				t.Error("got stored, want not stored")
			}
		}},
	} {
		before := s.calls
		tc.do()
		if calls := s.calls - before; calls > tc.most {
			t.Errorf("%s: got %d calls, want at most %d", tc.name, calls, tc.most)
		}
	}
}

// quiet is a store that allocates nothing: Get returns the stored slice itself.
type quiet struct {
	values map[string][]byte
	cas    uint32
}

func (s *quiet) Get(key string) ([]byte, uint32, error) {
	if v, ok := s.values[key]; ok {
		return v, s.cas, nil
	}
	return nil, 0, sharedstate.ErrNotFound
}

func (s *quiet) Set(key string, value []byte, _ uint32) error {
	s.cas++
	s.values[key] = append(s.values[key][:0], value...)
	return nil
}

func TestNothingIsAllocated(t *testing.T) {
	c := New(&quiet{values: map[string][]byte{}}, "aws", 256)
	clock := 100 * second
	for n := range 300 {
		clock++
		put(t, c, n, clock, 4000)
	}
	entry := answer(299, clock, 4000)
	var next [][]byte
	for i := range int64(101) { // AllocsPerRun makes one run more
		next = append(next, answer(299, clock+(i+1)*second, 4000))
	}
	for _, tc := range []struct {
		name string
		do   func()
	}{
		{"due", func() { _, _ = c.Due(keyOf(290), clock+5*second) }},
		{"not due", func() { _, _ = c.Due(keyOf(290), clock) }},
		{"get", func() { e, _, _ := c.Get(keyOf(290)); e.Headers(func(string, string) bool { return true }) }},
		{"a miss", func() { _, _, _ = c.Get(keyOf(1000)) }},
		{"too soon", func() { _, _, _ = c.Put(entry, clock, clock) }},
		{"store", func() {
			clock += second
			if stored, _, err := c.Put(next[0], clock, clock); !stored || err != nil {
				t.Errorf("got not stored, %v, want stored", err)
			}
			next = next[1:]
		}},
	} {
		if n := testing.AllocsPerRun(100, tc.do); n != 0 {
			t.Errorf("%s: got %g allocations, want 0", tc.name, n)
		}
	}
}

// TestAMillionKeys stores a million different keys, each once: the store's keys and bytes are as many afterwards as
// they were after the first few. (The race detector has nothing to find here and takes ten times as long: a fiftieth is
// enough there.)
func TestAMillionKeys(t *testing.T) {
	const entries, size = 16, 50
	t.Logf("%d keys", million)
	s := newValued()
	c := New(s, "aws", entries)
	clock := second
	var entry []byte
	keys, most := 0, 0
	for n := range million {
		clock++
		entry, _ = AppendHead(entry[:0], &Meta{Key: keyOf(n), Path: uint64(n), Stored: clock}, noHeaders)
		entry = append(entry, "answer"...)
		if stored, _, err := c.Put(entry, clock, clock); !stored || err != nil {
			t.Fatalf("entry %d: got not stored, %v, want stored", n, err)
		}
		if n == 100 {
			keys, most = s.Len(), s.sum
		}
	}
	if got := s.Len(); got != keys || got > entries+2 || s.sum > most {
		t.Errorf("got %d keys and %d bytes, want %d and at most %d, as after 100 entries", got, s.sum, keys, most)
	}
	if put(t, c, million, clock+1, size); holds(t, c, million) != clock+1 {
		t.Error("one more entry: got none, want it")
	}
}

func BenchmarkPut(b *testing.B) {
	for _, entries := range []int{16, 256} {
		b.Run(fmt.Sprint(entries), func(b *testing.B) {
			c := New(sharedstate.NewMemory(), "aws", entries)
			clock := second
			for n := range entries {
				clock++
				put(b, c, n, clock, 4000)
			}
			entry := answer(0, clock, 4000)
			b.ReportAllocs()
			for b.Loop() {
				clock += second
				head, _ := AppendHead(entry[:0], &Meta{Key: keyOf(7), Stored: clock}, noHeaders)
				if stored, _, err := c.Put(entry[:len(head)+4000], clock, clock); !stored || err != nil {
					b.Fatal("not stored", err)
				}
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, entries := range []int{16, 256} {
		b.Run(fmt.Sprint(entries), func(b *testing.B) {
			c := New(sharedstate.NewMemory(), "aws", entries)
			for n := range entries {
				put(b, c, n, second+int64(n), 4000)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, found, err := c.Get(keyOf(entries - 1)); !found || err != nil {
					b.Fatal("not found", err)
				}
			}
		})
	}
}

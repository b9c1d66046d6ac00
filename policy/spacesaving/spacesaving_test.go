package spacesaving

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// counted is a sketch of a stream that is written as counts by key, one key after the other.
func counted(keys ...uint64) (s Sketch) {
	for key, n := range keys {
		for range n {
			s.Add(uint64(key), "")
		}
	}
	return s
}

func TestFewKeysAreExact(t *testing.T) {
	s := counted(3, 0, 1)
	for range 4 {
		s.Add(9, "x-user=bob")
	}
	more := counted(2, 5)
	s.Merge(&more)
	want := []Entry{{Key: 0, Count: 5}, {Key: 1, Count: 5}, {Key: 9, Count: 4, Text: "x-user=bob"}, {Key: 2, Count: 1}}
	got := slices.Clone(s.Keys())
	slices.SortFunc(got, func(a, b Entry) int { return int(b.Count) - int(a.Count) + int(a.Key&7) - int(b.Key&7) })
	if !slices.ContainsFunc(got, func(e Entry) bool { return e == want[2] }) || len(got) != len(want) {
		t.Fatalf("Keys = %v, want %v", got, want)
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("Keys = %v, want %v among them", got, w)
		}
	}
}

// A client with a key of its own for each request takes 9 of 10 refusals; the one that is refused for the rest is found.
func TestOneAmongMany(t *testing.T) {
	var all Sketch
	const requests = 100_000
	n := uint64(0)
	for second := range 100 {
		var s Sketch
		for i := range requests / 100 {
			if i%10 == 3 {
				s.Add(1, "")
				continue
			}
			n++
			s.Add(1000+n, "")
		}
		if all.Merge(&s); second == 0 {
			continue
		}
		if all.Keys()[0].Key != 1 {
			t.Fatalf("after %d seconds Keys = %v, want key 1 first", second, all.Keys())
		}
	}
	if e := all.Keys()[0]; e.Count < requests/10 || e.Count-e.Over > requests/10 {
		t.Errorf("key 1 has %v, want the true count of %d in it", e, requests/10)
	}
}

func TestCountsEnd(t *testing.T) {
	s := Sketch{}
	s.Put(Entry{Key: 1, Count: math.MaxUint32 - 1})
	s.Add(1, "")
	s.Add(1, "")
	o := s
	s.Merge(&o)
	if got := s.Keys()[0].Count; got != math.MaxUint32 {
		t.Errorf("Count = %d, want %d", got, uint32(math.MaxUint32))
	}
}

// Whatever is counted by whichever sketches, merged in any order: a count is never below the true one, Count-Over never above
// it, and what is more than a sixteenth of the stream has an entry.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		truth, total := map[uint64]uint32{}, uint32(0)
		sketches := make([]Sketch, rapid.IntRange(1, 5).Draw(t, "sketches"))
		keys := rapid.Uint64Range(1, rapid.Uint64Range(1, 80).Draw(t, "most")) // of few keys some are frequent
		for range rapid.IntRange(0, 400).Draw(t, "requests") {
			key := min(keys.Draw(t, "key"), keys.Draw(t, "or"))
			sketches[rapid.IntRange(0, len(sketches)-1).Draw(t, "by")].Add(key, "")
			truth[key]++
			total++
		}
		s := sketches[0]
		for i := range sketches[1:] {
			s.Merge(&sketches[1+i])
		}
		found := map[uint64]bool{}
		for _, e := range s.Keys() {
			if found[e.Key] {
				t.Fatalf("key %d has two entries: %v", e.Key, s.Keys())
			}
			found[e.Key] = true
			if n := truth[e.Key]; e.Count < n || e.Count-e.Over > n || e.Over > e.Count {
				t.Fatalf("key %d came %d times, Keys = %v", e.Key, n, s.Keys())
			}
		}
		for key, n := range truth {
			if n > total/Entries && !found[key] {
				t.Fatalf("key %d came %d times of %d and has no entry: %v", key, n, total, s.Keys())
			}
		}
	})
}

package cache

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/sharedstate"
)

func TestMarksRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawn := func(name string) *marks {
			m := &marks{notBefore: rapid.Int64().Draw(t, name)}
			for range rapid.IntRange(0, 20).Draw(t, name+" marks") {
				m.list = append(m.list, mark{rapid.Uint64().Draw(t, "hash"), rapid.Int64().Draw(t, "at")})
			}
			return m
		}
		m, got := drawn("packed"), drawn("before")
		b := m.AppendTo(nil)
		if !got.Unpack(b) || got.notBefore != m.notBefore || !slices.Equal(got.list, m.list) {
			t.Fatalf("got %+v, want %+v", got, m)
		}
		if got.Unpack(b[:len(b)-1]) || got.notBefore != 0 || len(got.list) != 0 {
			t.Fatalf("torn: got %+v, want none", got)
		}
	})
}

// TestMarksForget: what has no place, or is old, is forgotten by refusing everything from before it.
func TestMarksForget(t *testing.T) {
	refuses := func(m *marks, hash uint64, began int64) bool {
		return m.refuses(&way{path: hash, key: sharedstate.Fingerprint{Hi: 1 << 50}}, began, began+second)
	}
	full := func(n int) *marks { // one each millisecond, of other paths
		m := &marks{}
		for i := range n {
			m.add(uint64(i), 1000*second+int64(i)*second/1000)
		}
		return m
	}
	const begin, ms = 1000 * second, second / 1000
	for _, tc := range []struct {
		name  string
		m     *marks
		hash  uint64
		began int64
		want  bool
	}{
		{"full: the first", full(MaxMarks), 0, begin, true},
		{"full: the first, later", full(MaxMarks), 0, begin + 1, false},
		{"full: of no path, before", full(MaxMarks), 1 << 20, begin - second, false},
		{"one more: of no path, before what was forgotten", full(MaxMarks + 1), 1 << 20, begin, true},
		{"one more: of no path, after it", full(MaxMarks + 1), 1 << 20, begin + 1, false},
		{"one more: the second", full(MaxMarks + 1), 1, begin + ms, true},
		{"one more: the last", full(MaxMarks + 1), MaxMarks, begin + MaxMarks*ms, true},
		{"twice as many: of no path", full(2 * MaxMarks), 1 << 20, begin + (MaxMarks-1)*ms, true},
		{"twice as many: of no path, after", full(2 * MaxMarks), 1 << 20, begin + (MaxMarks-1)*ms + 1, false},
	} {
		if got := refuses(tc.m, tc.hash, tc.began); got != tc.want {
			t.Errorf("%s: got refused %v, want %v", tc.name, got, tc.want)
		}
	}
	old := &marks{}
	old.add(1, begin)
	old.add(2, begin+markAge+1)
	if len(old.list) != 1 || !refuses(old, 1, begin) || !refuses(old, 3, begin) || refuses(old, 1, begin+1) {
		t.Errorf("after a minute: got %+v, want all refused that began by %d", old, begin)
	}
	same := &marks{}
	for i := range int64(2 * MaxMarks) {
		same.add(7, begin+i)
	}
	if len(same.list) != 1 || same.notBefore != 0 || !refuses(same, 7, begin+2*MaxMarks-1) {
		t.Errorf("one path again and again: got %+v, want one mark", same)
	}
	if n := len(full(MaxMarks).AppendTo(nil)); n != 8_208 {
		t.Errorf("got %d bytes of marks, want 8208, as the docs say", n)
	}
}

package pairs

import (
	"slices"
	"testing"
)

func all(p Packed) (got [][2]string) {
	p.All(func(name, value string) bool {
		got = append(got, [2]string{name, value})
		return true
	})
	return got
}

func TestAllReadsWhatPackWrites(t *testing.T) {
	for _, want := range [][][2]string{
		nil,
		{{":method", "GET"}},
		{{":method", "GET"}, {"x-empty", ""}, {"x-twice", "a"}, {"x-twice", "b"}, {"x-nul", "a\x00b"}},
	} {
		if got := all(Pack(want)); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAllStopsWhenAsked(t *testing.T) {
	n := 0
	Pack([][2]string{{"a", "1"}, {"b", "2"}}).All(func(string, string) bool { n++; return false })
	if n != 1 {
		t.Errorf("after yield returned false: got %d pairs, want 1", n)
	}
}

// FuzzAll: All never yields more than the bytes of the map, whatever they are.
func FuzzAll(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte(Pack([][2]string{{":status", "200"}, {"a", ""}})))
	f.Add([]byte{255, 255, 255, 255, 1, 0, 0, 0})
	f.Add([]byte{1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 'a', 0, 'b', 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		for _, p := range all(b) {
			total += len(p[0]) + len(p[1])
		}
		if total > len(b) {
			t.Fatalf("got %d bytes of text, want at most the %d bytes of the map", total, len(b))
		}
	})
}

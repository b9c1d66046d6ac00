package sharedstate

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func neverIdle([]byte) bool { return false }

func zero(state []byte) bool { return bytes.Equal(state, make([]byte, len(state))) }

func TestKeySetRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ways, size := rapid.IntRange(1, 8).Draw(t, "ways"), rapid.IntRange(1, 64).Draw(t, "size")
		s := NewKeySet(ways, size)
		if s.Unpack(nil) || len(s.Ways) != ways {
			t.Fatalf("Unpack(nil): got %+v, want an empty set of %d ways, not ok", s.Ways, ways)
		}
		for i := range s.Ways {
			s.Ways[i].Key = Fingerprint{rapid.Uint64().Draw(t, "hi"), rapid.Uint64().Draw(t, "lo")}
			copy(s.Ways[i].State, rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "state"))
		}
		packed := s.AppendTo(nil)
		got := NewKeySet(ways, size)
		if len(packed) != KeySetSize(ways, size) || !got.Unpack(packed) || !bytes.Equal(got.AppendTo(nil), packed) {
			t.Fatalf("got %+v from %d bytes, want the set that was packed, in %d bytes", got, len(packed), KeySetSize(ways, size))
		}
	})
}

func TestKeySetFind(t *testing.T) {
	s := NewKeySet(2, 4)
	s.Unpack(nil)
	a, b, c := Fingerprint{1, 1}, Fingerprint{2, 2}, Fingerprint{3, 3}
	take := func(key Fingerprint) *Way {
		way, had := s.Find(key, zero)
		if had {
			t.Fatalf("Find(%v): got a way of its own, want another one or none", key)
		}
		if way != nil {
			way.Key, way.State[0] = key, 1
		}
		return way
	}
	if take(a) == nil || take(b) == nil {
		t.Fatal("two keys in two ways: got none, want one each")
	}
	if take(c) != nil {
		t.Fatal("a third key in two ways: got one, want none")
	}
	if way, had := s.Find(a, neverIdle); !had || way.Key != a {
		t.Fatalf("got %+v, %v, want the way of key a", way, had)
	}
	s.Ways[0].State[0] = 0 // a's limit is as fresh as a new one
	if way, had := s.Find(a, zero); !had || way.Key != a {
		t.Fatalf("an idle way that no key took: got %+v, %v, want that of key a", way, had)
	}
	if take(c) == nil {
		t.Fatal("a third key where one way is idle: got none, want that way")
	}
	if way, had := s.Find(a, neverIdle); had || way != nil {
		t.Fatalf("key a after another took its way: got %+v, %v, want none", way, had)
	}
}

func FuzzKeySetUnpack(f *testing.F) {
	f.Add([]byte(nil))
	empty := NewKeySet(2, 8)
	empty.Unpack(nil)
	f.Add(empty.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := NewKeySet(2, 8)
		ok := s.Unpack(bytes.Clone(b))
		if len(s.Ways) != 2 {
			t.Fatalf("got %d ways, want 2", len(s.Ways))
		}
		if again := s.AppendTo(nil); ok != bytes.Equal(again, b) {
			t.Fatalf("Unpack(%x): got ok %v, packed again %x, want the same bytes exactly if ok", b, ok, again)
		}
	})
}

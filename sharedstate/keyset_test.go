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
			t.Fatalf("nothing is read as an empty set of %d ways, got %+v", ways, s.Ways)
		}
		for i := range s.Ways {
			s.Ways[i].Key = Fingerprint{rapid.Uint64().Draw(t, "hi"), rapid.Uint64().Draw(t, "lo")}
			copy(s.Ways[i].State, rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "state"))
		}
		packed := s.AppendTo(nil)
		got := NewKeySet(ways, size)
		if len(packed) != KeySetSize(ways, size) || !got.Unpack(packed) || !bytes.Equal(got.AppendTo(nil), packed) {
			t.Fatalf("%d bytes come back as %+v", len(packed), got)
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
			t.Fatalf("%v had a way", key)
		}
		if way != nil {
			way.Key, way.State[0] = key, 1
		}
		return way
	}
	if take(a) == nil || take(b) == nil {
		t.Fatal("two keys find two ways")
	}
	if take(c) != nil {
		t.Fatal("a third finds none while both are in use")
	}
	if way, had := s.Find(a, neverIdle); !had || way.Key != a {
		t.Fatalf("a's way: %+v", way)
	}
	s.Ways[0].State[0] = 0 // a's limit is as fresh as a new one
	if way, had := s.Find(a, zero); !had || way.Key != a {
		t.Fatalf("an idle way is still its key's, while nobody took it: %+v", way)
	}
	if take(c) == nil {
		t.Fatal("an idle way is free for another key")
	}
	if way, had := s.Find(a, neverIdle); had || way != nil {
		t.Fatalf("a lost its way: %+v", way)
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
			t.Fatalf("%d ways", len(s.Ways))
		}
		if again := s.AppendTo(nil); ok != bytes.Equal(again, b) {
			t.Fatalf("believed: %v, %x packs as %x", ok, b, again)
		}
	})
}

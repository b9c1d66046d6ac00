package sharedstate

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func zero(state []byte) bool { return bytes.Equal(state, make([]byte, len(state))) }

// TestKeySetRoundTrip packs sets whose states have different sizes.
func TestKeySetRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ways := rapid.IntRange(0, 8).Draw(t, "ways")
		s := NewKeySet(8)
		if s.Unpack(nil) || len(s.Ways) != 0 {
			t.Fatalf("Unpack(nil): got %+v, want an empty set, not ok", s.Ways)
		}
		for range ways {
			s.Ways = append(s.Ways, Way{
				Key:   Fingerprint{rapid.Uint64().Draw(t, "hi"), rapid.Uint64().Draw(t, "lo")},
				State: rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "state"),
			})
		}
		packed := s.AppendTo(nil)
		got := NewKeySet(1) // a plugin with fewer keys reads all
		if !got.Unpack(packed) || len(got.Ways) != ways || !bytes.Equal(got.AppendTo(nil), packed) {
			t.Fatalf("got %+v from %d bytes, want the set that was packed", got, len(packed))
		}
	})
}

func TestKeySetTake(t *testing.T) {
	s := NewKeySet(2)
	s.Unpack(nil)
	a, b, c := Fingerprint{1, 1}, Fingerprint{2, 2}, Fingerprint{3, 3}
	take := func(key Fingerprint) *Way {
		way := s.Take(key, states{idle: zero})
		if way != nil {
			if way.Key != key || len(way.State) != 0 {
				t.Fatalf("Take(%v): got %+v, want an empty way of the key", key, way)
			}
			way.State = []byte{1, 0, 0, 0}
		}
		return way
	}
	if take(a) == nil || take(b) == nil {
		t.Fatal("two keys in two ways: got none, want one each")
	}
	if take(c) != nil {
		t.Fatal("a third key in two ways: got one, want none")
	}
	if way := s.Has(a); way == nil || way.Key != a || len(way.State) != 4 {
		t.Fatalf("got %+v, want the way of key a with its state", way)
	}
	s.Ways[0].State[0] = 0 // a's limit is as fresh as a new one
	if take(c) == nil {
		t.Fatal("a third key where one way is idle: got none, want that way")
	}
	if way := s.Has(a); way != nil {
		t.Fatalf("key a after another took its way: got %+v, want none", way)
	}
}

func FuzzKeySetUnpack(f *testing.F) {
	f.Add([]byte(nil))
	two := NewKeySet(2)
	two.Ways = append(two.Ways, Way{Fingerprint{1, 2}, []byte("state")}, Way{Fingerprint{3, 4}, nil})
	f.Add(two.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := NewKeySet(2)
		ok := s.Unpack(bytes.Clone(b))
		if again := s.AppendTo(nil); ok != bytes.Equal(again, b) {
			t.Fatalf("Unpack(%x): got ok %v, packed again %x, want the same bytes exactly if ok", b, ok, again)
		}
	})
}

package bulkhead

import (
	"bytes"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := State{Owners: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Owner {
			return Owner{
				ID:        rapid.Uint32().Draw(t, "id"),
				Count:     rapid.Uint32Min(1).Draw(t, "count"),
				Heartbeat: rapid.Int64().Draw(t, "heartbeat"),
			}
		}), 0, MaxOwners).Draw(t, "owners")}
		got := State{Owners: []Owner{{ID: 7, Count: 7}}}
		b := s.AppendTo([]byte{1})[1:]
		if len(b) != s.Size() || !got.Unpack(b) || !slices.Equal(got.Owners, s.Owners) {
			t.Fatalf("Unpack(%x): got %+v, want %+v", b, got, s)
		}
	})
}

func TestImpossibleStateIsFresh(t *testing.T) {
	one := State{Owners: []Owner{{ID: 1, Count: 1, Heartbeat: 1}}}
	good := one.AppendTo(nil)
	for _, tc := range []struct {
		name  string
		bytes []byte
	}{
		{"cut", good[1:]},
		{"an owner that holds nothing", slices.Concat(good, (&State{Owners: []Owner{{ID: 2}}}).AppendTo(nil))},
		{"too many owners", bytes.Repeat(good, MaxOwners+1)},
	} {
		got := State{Owners: []Owner{{ID: 7, Count: 7}}}
		if got.Unpack(tc.bytes) || len(got.Owners) != 0 {
			t.Errorf("%s: Unpack left %+v, want a fresh state", tc.name, got)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte{}, uint32(1), int64(0))
	s := State{Owners: []Owner{{1, 2, 3}, {1, math.MaxUint32, math.MaxInt64}, {3, 1, math.MinInt64}}}
	f.Add(s.AppendTo(nil), uint32(1), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, b []byte, owner uint32, now int64) {
		var s State
		if s.Unpack(b) {
			if again := s.AppendTo(nil); !bytes.Equal(again, b) {
				t.Fatalf("Unpack(%x), packed again: got %x", b, again)
			}
		} else if len(s.Owners) != 0 {
			t.Fatalf("Unpack(%x) = false left %+v, want a fresh state", b, s)
		}
		// Whatever was believed can be worked with.
		c := Config{Max: 3, Expiry: 5 * time.Second}
		now = max(now, 0)
		switch got, running := s.Acquire(c, owner, now), s.Running(c, now); {
		case got == Acquired && (running < 1 || running > c.Max || !s.Release(owner, now)),
			got == Full && running < c.Max,
			got == TooManyOwners && len(s.Owners) < MaxOwners:
			t.Fatalf("Acquire = %v with %d running: %+v", got, running, s)
		}
		s.Heartbeat(owner, 0, now)
	})
}

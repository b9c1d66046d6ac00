package registry

import (
	"slices"
	"testing"

	"github.com/weir-mesh/weir/sharedstate"
)

func TestCountsAtReset(t *testing.T) {
	s := sharedstate.NewMemory()
	check := func(name string, counts, want []uint64) {
		t.Helper()
		c, err := ReadCountsAtReset(s, "a")
		if err != nil {
			t.Fatal(err)
		}
		if c.SubtractFrom(counts); !slices.Equal(counts, want) {
			t.Errorf("%s: got %d, want %d", name, counts, want)
		}
	}
	check("never reset", []uint64{7, 8}, []uint64{7, 8})
	if err := StoreCountsAtReset(s, "a", []uint64{7, 8}); err != nil {
		t.Fatal(err)
	}
	check("the third count is new", []uint64{7, 10, 3}, []uint64{0, 2, 3})
	check("the first count began anew", []uint64{2, 10}, []uint64{2, 2})
}

func TestOneWorkerClaimsAReset(t *testing.T) {
	s := sharedstate.NewMemory()
	for i, tc := range []struct {
		resets uint32
		want   bool
	}{{0, false}, {1, true}, {1, false}, {3, true}, {3, false}} {
		if got, err := ClaimReset(s, "a", tc.resets); err != nil || got != tc.want {
			t.Errorf("%d: ClaimReset(%d) = %v, %v, want %v", i, tc.resets, got, err, tc.want)
		}
	}
}

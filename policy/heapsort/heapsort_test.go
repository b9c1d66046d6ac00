package heapsort_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/policy/heapsort"
)

func TestSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		got := rapid.SliceOf(rapid.StringMatching(`[a-c]{0,3}`)).Draw(t, "words")
		want := slices.Sorted(slices.Values(got))
		if heapsort.Strings(got); !slices.Equal(got, want) {
			t.Fatalf("Strings: got %q, want %q", got, want)
		}
	})
}

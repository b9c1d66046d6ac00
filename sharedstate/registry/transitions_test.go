package registry

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/policy/breaker"
)

func TestChangesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want, got changes
		for range rapid.IntRange(0, MaxChanges).Draw(t, "changes") {
			want = append(want, Change{
				At: rapid.Int64().Draw(t, "at"), From: breaker.Status(rapid.IntRange(0, 2).Draw(t, "from")),
				To: breaker.Status(rapid.IntRange(0, 2).Draw(t, "to")), Cluster: rapid.StringN(0, 20, 80).Draw(t, "cluster"),
				Cause: rapid.StringN(0, 20, 80).Draw(t, "cause"),
			})
		}
		packed := want.AppendTo(nil)
		if !got.Unpack(packed) || !slices.Equal(want, got) {
			t.Fatalf("got %v, want %v", got, want)
		}
		cut := rapid.IntRange(0, len(packed)-1).Draw(t, "cut")
		if got.Unpack(packed[:cut]) && !slices.Equal(got, want[:len(got)]) {
			t.Fatalf("of %d bytes of %d: got %v, want the first of %v, or none", cut, len(packed), got, want)
		}
	})
}

func FuzzChanges(f *testing.F) {
	all := changes{{At: 1, To: breaker.Open, Cluster: "aws", Cause: "operator"}}
	f.Add(all.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var read, again changes
		if read.Unpack(b) && (!again.Unpack(read.AppendTo(nil)) || !slices.Equal(read, again)) {
			t.Fatalf("read %v, and packed again %v", read, again)
		}
	})
}

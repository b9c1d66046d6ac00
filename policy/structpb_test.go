package policy

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"
)

// TestFieldsAreReadAsByProtowire: random bytes, and fields with a wrong byte.
func TestFieldsAreReadAsByProtowire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 0, 24).Draw(t, "bytes")
		if rapid.Bool().Draw(t, "field") {
			number := protowire.Number(rapid.Uint32Range(0, 1<<29-1).Draw(t, "number"))
			kind := protowire.Type(rapid.IntRange(0, 7).Draw(t, "type"))
			raw = append(protowire.AppendTag(nil, number, kind), raw...)
		}
		number, kind, n := protowire.ConsumeField(raw)
		known := kind == protowire.VarintType || kind == protowire.Fixed64Type || kind == protowire.BytesType
		f, rest, err := next(raw)
		if f.number > 1<<29-1 { // each refuses larger numbers from another one on; a Struct has 1 to 6
			return
		}
		if ok := n >= 0 && known; ok != (err == nil) {
			t.Fatalf("next(%x): got %v, want an error: %v", raw, err, !ok)
		}
		if err == nil && (f.number != uint64(number) || f.kind != uint64(kind) || len(rest) != len(raw)-n) {
			t.Fatalf("next(%x): got field %d of type %d and %d bytes left, want %d, %d, %d", raw, f.number, f.kind, len(rest), number, kind, len(raw)-n)
		}
	})
}

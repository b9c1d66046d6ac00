package packed

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestNumbers(t *testing.T) {
	b := make([]byte, 24)
	for _, want := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
		PutI64(b, 3, want)
		if got := I64(b, 3); got != want {
			t.Errorf("I64 = %d, want %d", got, want)
		}
	}
	for _, tc := range []struct{ put, want int64 }{{0, 0}, {7, 7}, {math.MaxUint32, math.MaxUint32}, {1 << 32, 0}} {
		PutU32(b, 5, tc.put)
		if got := U32(b, 5); got != tc.want {
			t.Errorf("U32 after PutU32(%d) = %d, want %d", tc.put, got, tc.want)
		}
	}
	PutU32(b, 0, 0x04030201)
	if b[0] != 1 || b[3] != 4 {
		t.Errorf("got bytes %x, want little endian", b[:4])
	}
}

// TestSealFindsAnyChangedByte changes each byte of sealed bytes in turn, the check included.
func TestSealFindsAnyChangedByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), minSealed, 100).Draw(t, "bytes")
		Seal(b)
		if !Sealed(b) {
			t.Fatalf("Sealed(%x) = false after Seal, want true", b)
		}
		flip := byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		for i := range b {
			b[i] ^= flip
			if Sealed(b) {
				t.Errorf("Sealed(%x) = true with byte %d changed, want false", b, i)
			}
			b[i] ^= flip
		}
	})
}

func TestSealedBounds(t *testing.T) {
	for n := range 20 {
		if got, want := Sealed(make([]byte, n)), n >= minSealed; got != want {
			t.Errorf("Sealed(%d zeros) = %v, want %v", n, got, want)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	state := make([]byte, 56)
	b.ReportAllocs()
	for b.Loop() {
		Seal(state)
	}
}

package fixedpoint

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestMillionths(t *testing.T) {
	for _, tc := range []struct {
		f, low, high float64
		want         int64
	}{
		{0.2, 0, 1, 200_000},
		{1.0 / 3, 0, 1, 333_333},
		{2.0 / 3, 0, 1, 666_667},
		{-1, 0, 1, 0},
		{0.5, 1, 100, 1_000_000},
		{101, 1, 100, 100_000_000},
		{math.NaN(), 0, 1, 0},
		{math.NaN(), 1, 100, 1_000_000},
		{math.Inf(1), 0, 1, 1_000_000},
		{math.Inf(-1), 0, 1, 0},
	} {
		if got := Millionths(tc.f, tc.low, tc.high); got != tc.want {
			t.Errorf("Millionths(%g, %g, %g) = %d, want %d", tc.f, tc.low, tc.high, got, tc.want)
		}
	}
}

// TestMulDiv compares with arithmetic of any size.
func TestMulDiv(t *testing.T) {
	number := rapid.OneOf(rapid.Int64Range(0, 100), rapid.Int64Min(0))
	most := big.NewInt(math.MaxInt64)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := number.Draw(t, "a"), number.Draw(t, "b"), max(number.Draw(t, "c"), 1)
		product := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
		down, rest := new(big.Int).QuoRem(product, big.NewInt(c), new(big.Int))
		up := new(big.Int).Set(down)
		if rest.Sign() > 0 {
			up.Add(up, big.NewInt(1))
		}
		for _, tc := range []struct {
			name string
			got  int64
			want *big.Int
		}{{"MulDiv", MulDiv(a, b, c), down}, {"MulDivUp", MulDivUp(a, b, c), up}} {
			if tc.want.Cmp(most) > 0 {
				tc.want = most
			}
			if tc.got != tc.want.Int64() {
				t.Errorf("%s(%d, %d, %d) = %d, want %v", tc.name, a, b, c, tc.got, tc.want)
			}
		}
	})
}

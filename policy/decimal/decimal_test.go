package decimal

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"0", "-0", "1", "1.67", "0.1", ".5", "5.", "+3", "1e3", "1E-3", "1e+22", "123456789012345678901234567890", "9007199254740993",
		"9007199254740992.5", "0.30000000000000004", "2.2250738585072011e-308", "5e-324", "2.4703282292062327e-324", "2.4703282292062328e-324",
		"1.7976931348623157e308", "1.7976931348623159e308", "1e309", "1e-400", "1e99999999999", "6.02214076e23", "6.62607015e-34",
		"", "-", ".", "e5", "1e", "1e+", "1x", "1..2", "1.2.3", "--1", "inf", "nan", "0x10", "1_000", "0000000000000000000000001",
		"0.000000000000000000000000000000000000000000000000000000000000000000000001", "100000000000000000000000000000000000001e-20",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := Parse(s)
		for _, c := range s {
			if c == '_' || c|0x20 == 'x' || c|0x20 == 'i' || c|0x20 == 'n' || c|0x20 == 'p' {
				return // what strconv reads besides digits
			}
		}
		want, err := strconv.ParseFloat(s, 64)
		if wantOK := err == nil || math.IsInf(want, 0); ok != wantOK {
			t.Fatalf("Parse(%q): got %v, want %v", s, ok, wantOK)
		}
		if ok && math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("Parse(%q): got %v, want %v", s, got, want)
		}
	})
}

func FuzzAppend(f *testing.F) {
	for _, n := range []float64{
		0, math.Copysign(0, -1), 1, -1, 0.1, 0.2 + 0.1, 1.0 / 3, 2.0 / 3, 1e-6, 9.9e-7, 1e21, 1e20, 123456789012345680000, 5e-324, 1e-310, 1 << 53, 1<<53 + 2,
		2.2250738585072014e-308, math.MaxFloat64, 6.02214076e23, 6.62607015e-34, 1e22, 1e23, 0.000001234567, 299792.458, 8.5e-7, 4503599627370495.5,
		math.Inf(1), math.Inf(-1), math.NaN(),
	} {
		f.Add(math.Float64bits(n))
	}
	f.Fuzz(func(t *testing.T, b uint64) { checkAppend(t, math.Float64frombits(b)) })
}

// checkAppend compares with encoding/json, and with strconv what JSON lacks.
func checkAppend(t interface {
	Helper()
	Errorf(string, ...any)
}, n float64,
) {
	t.Helper()
	want, err := json.Marshal(n)
	if err != nil {
		want = strconv.AppendFloat(nil, n, 'g', -1, 64)
	}
	if got := string(Append([]byte("x"), n)); got != "x"+string(want) {
		t.Errorf("%x: got %s, want x%s", math.Float64bits(n), got, want)
	}
}

// TestAppend draws what policies have: few digits, and what a program computed.
func TestAppend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := float64(rapid.Int64Range(-1e17, 1e17).Draw(t, "digits"))
		places := rapid.IntRange(0, 30).Draw(t, "places")
		for range places {
			n /= 10
		}
		checkAppend(t, n)
		checkAppend(t, math.Float64frombits(rapid.Uint64().Draw(t, "bits")))
	})
}

package decimal

import (
	"math"
	"testing"
)

func TestWhole(t *testing.T) {
	for _, row := range []struct {
		text string
		want uint64
		ok   bool
	}{
		{"0", 0, true},
		{"200", 200, true},
		{"007", 7, true},
		{"18446744073709551615", math.MaxUint64, true},
		{"18446744073709551616", 0, false},
		{"99999999999999999999", 0, false},
		{"", 0, false},
		{"-1", 0, false},
		{"+1", 0, false},
		{" 1", 0, false},
		{"1_000", 0, false},
		{"0x1", 0, false},
		{"1.0", 0, false},
	} {
		got, ok := Whole(row.text)
		if ok != row.ok || ok && got != row.want {
			t.Errorf("Whole(%q): got %d %v, want %d %v", row.text, got, ok, row.want, row.ok)
		}
		small, ok := Int(row.text)
		if ok != row.ok || ok && uint64(small) != min(row.want, math.MaxInt32) {
			t.Errorf("Int(%q): got %d %v, want %d %v", row.text, small, ok, min(row.want, math.MaxInt32), row.ok)
		}
	}
}

package spelling

import (
	"slices"
	"strings"
	"testing"
)

func TestSuggest(t *testing.T) {
	known := []string{"to", "header", "burst_capacity", "max_keys", "max_key_bytes"}
	for _, tc := range []struct{ word, want string }{
		{"burst_capacty", "burst_capacity"},
		{"burst_kapazity", "burst_capacity"},
		{"burstCapacity", "burst_capacity"},
		{"BURST-CAPACITY", "burst_capacity"},
		{"max_kees", "max_keys"},
		{"headr", "header"},
		{"tos", "to"},
		{"on", ""},     // two of two letters differ
		{"window", ""}, // another word
		{"", ""},
		{strings.Repeat("-", 60) + "to", "to"},
		{strings.Repeat("-", 63) + "to", ""}, // longer than any key
	} {
		if got, ok := Suggest(tc.word, known); got != tc.want || ok != (tc.want != "") {
			t.Errorf("Suggest(%q) = %q, %v, want %q", tc.word, got, ok, tc.want)
		}
	}
}

func TestNearest(t *testing.T) {
	long := strings.Repeat("a", maxWord)
	for _, tc := range []struct {
		word        string
		known, want []string
	}{
		{"pricing", []string{"orders", "pricing_v2", "Pricing", "prices"}, []string{"Pricing", "prices"}},
		{"x", []string{"b", "c", "a"}, []string{"a", "b"}},
		{long + "x", []string{long + "z", long + "y"}, []string{long + "y", long + "z"}},
		{"x", []string{"a"}, []string{"a"}},
		{"x", nil, nil},
	} {
		if got := Nearest(tc.word, slices.Clone(tc.known), 2); !slices.Equal(got, tc.want) {
			t.Errorf("Nearest(%q, %q, 2) = %q, want %q", tc.word, tc.known, got, tc.want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"kitten", "sitting", 3},
		{"flaw", "lawn", 2},
		{"same", "same", 0},
	} {
		if got := Distance(tc.a, tc.b); got != tc.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}

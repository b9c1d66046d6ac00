package policy

import "testing"

func TestHint(t *testing.T) {
	known := []string{"to", "header", "burst_capacity", "max_keys", "max_key_bytes"}
	tests := []struct{ word, want string }{
		{"burst_capacty", "burst_capacity"},
		{"burst_kapazity", "burst_capacity"},
		{"burstCapacity", "burst_capacity"},
		{"BURST-CAPACITY", "burst_capacity"},
		{"max_kees", "max_keys"},
		{"headr", "header"},
		{"tos", "to"},
		{"on", ""},     // two of two letters are no near miss
		{"window", ""}, // nor is another word
		{"", ""},
	}
	for _, test := range tests {
		if got, _ := hint(test.word, known); got != test.want {
			t.Errorf("%q: got %q, want %q", test.word, got, test.want)
		}
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"same", "same", 0}}
	for _, test := range tests {
		if got := Distance(test.a, test.b); got != test.want {
			t.Errorf("%q, %q: got %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

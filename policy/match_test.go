package policy

import (
	"slices"
	"testing"
)

func TestMatches(t *testing.T) {
	tests := []struct {
		pattern string
		yes, no []string
	}{
		{"a", []string{"a"}, []string{"", "aa", "b"}},
		{"*", []string{"", "a", "a*b"}, nil},
		{"a*", []string{"a", "ab"}, []string{"", "ba"}},
		{"*a", []string{"a", "ba"}, []string{"ab", ""}},
		{"a*a", []string{"aa", "aba"}, []string{"a", "ab"}},
		{"a*b*c", []string{"abc", "axbxc", "abbcc"}, []string{"acb", "ab", "ac"}},
		{"*ab*ab*", []string{"abab", "xabxabx"}, []string{"aba", "ab"}},
		{"a**b", []string{"ab", "axb"}, []string{"a"}},
		{"outbound|*||*.example", []string{"outbound|80||prices.example"}, []string{"outbound|80||example"}},
	}
	for _, test := range tests {
		for _, name := range test.yes {
			if !matches(test.pattern, name) {
				t.Errorf("matches(%q, %q) = false, want true", test.pattern, name)
			}
		}
		for _, name := range test.no {
			if matches(test.pattern, name) {
				t.Errorf("matches(%q, %q) = true, want false", test.pattern, name)
			}
		}
	}
}

// TestFor identifies the policies by their bulkheads.
func TestFor(t *testing.T) {
	const untouched = 0
	doc := decodeYAML(t, `
clusters:
  aws_pricing: {bulkhead: {max_concurrent: 1}}
  aws_*: {bulkhead: {max_concurrent: 2}}
  "*_pricing": {bulkhead: {max_concurrent: 3}}
  "aws_p*g": {bulkhead: {max_concurrent: 4}}
  "b*": {bulkhead: {max_concurrent: 5}}
  "*c": {bulkhead: {max_concurrent: 6}}
  "xy*": {bulkhead: {max_concurrent: 7}}
  "*y*": {bulkhead: {max_concurrent: 8}}
  aws_off: {mode: off, bulkhead: {}}
  "internal_*": {mode: off}
default: {bulkhead: {max_concurrent: 9}}
`)
	tests := []struct {
		cluster string
		want    int
	}{
		{"aws_pricing", 1},        // the exact name
		{"aws_prices", 2},         // a pattern
		{"gcp_pricing", 3},        // another one
		{"aws_paging", 4},         // of two that match the longer
		{"aws_x_pricing", 3},      // "*_pricing" is longer than "aws_*"
		{"bc", 6},                 // as long: the first in byte order
		{"xyz", 7},                // as long: fewer *
		{"other", 9},              // none: the default
		{"", 9},                   // no cluster
		{"aws_off", untouched},    // off, though a pattern matches
		{"internal_x", untouched}, // off, though there is a default
	}
	for range 2 {
		for _, test := range tests {
			got := untouched
			if p := doc.For(test.cluster); p != nil {
				got = p.Bulkhead.MaxConcurrent
			}
			if got != test.want {
				t.Errorf("%q: got policy %d, want %d", test.cluster, got, test.want)
			}
		}
		slices.Reverse(doc.Clusters) // the order of the entries says nothing
	}
}

func TestForWithoutDefault(t *testing.T) {
	if p := decodeYAML(t, "clusters: {a: {}}").For("b"); p != nil {
		t.Errorf("got %+v, want nothing", p)
	}
}

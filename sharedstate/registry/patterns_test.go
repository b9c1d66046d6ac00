package registry

import (
	"slices"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/sharedstate"
)

// TestUnmatchedPatterns: two workers of one document each tell what they saw; one that comes back begins anew.
func TestUnmatchedPatterns(t *testing.T) {
	store, now := sharedstate.NewMemory(), int64(1e12)
	worker := func(document uint64) *Publisher {
		p := NewPublisher(store, document, false)
		for _, pattern := range []string{"team-*", "aws-*", "*"} {
			p.AddPattern(pattern)
		}
		return p
	}
	first, second, other := worker(1), worker(1), NewPublisher(store, 2, false)
	for _, step := range []struct {
		name string
		do   func()
		want string // of document 1
	}{
		{"before any request", func() {}, "team-* aws-* *"},
		{"of the first worker", func() { first.Matched("aws-*") }, "team-* *"},
		{"of the second", func() { second.Matched("*"); second.Matched("aws-*"); second.Matched("no such pattern") }, "team-*"},
		{"loaded again", func() { other.Renew(); first, second = worker(1), worker(1); first.Renew() }, "team-* aws-* *"},
		{"by then", func() { first.Matched("team-*") }, "aws-* *"},
	} {
		step.do()
		for _, p := range []*Publisher{other, first, first, second} {
			now += 1e7
			if _, err := p.Heartbeat(now); err != nil {
				t.Fatal(err)
			}
		}
		inForce, err := ReadPolicies(store, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range inForce {
			if got := strings.Join(p.Unmatched, " "); p.Document == 1 && got != step.want || p.Document == 2 && got != "" {
				t.Errorf("%s: document %d: unmatched %q, want %q of document 1 and none of 2", step.name, p.Document, got, step.want)
			}
		}
		if got, want := first.Unmatched(), len(strings.Fields(step.want)); got != want && step.name != "of the second" {
			t.Errorf("%s: Unmatched() = %d, want %d", step.name, got, want)
		}
	}
}

func TestPatternsAreBounded(t *testing.T) {
	store := sharedstate.NewMemory()
	p := NewPublisher(store, 1, false)
	for i := range 1000 {
		p.AddPattern(strings.Repeat("x", i%250) + "*")
	}
	if _, err := p.Heartbeat(1e12); err != nil {
		t.Fatal(err)
	}
	value, _, err := store.Get(unmatchedKey(p.slot))
	if err != nil || len(value) > maxPatterns+5 {
		t.Errorf("got %d bytes, %v, want at most %d", len(value), err, maxPatterns+5)
	}
	var u unmatched
	for _, b := range [][]byte{nil, {1}, {2, 0, 0, 0, 0}, {1, 0, 0, 0, 0, 9, 0, 'x'}, slices.Clone(value[:len(value)-1])} {
		if u.Unpack(b); len(u.patterns) != 0 {
			t.Errorf("Unpack(%q) = %q, want none", b, u.patterns)
		}
	}
}

package main

import "testing"

func TestTallies(t *testing.T) {
	var ts tallies
	var a, b tally
	for round := range 2 {
		for range promptly {
			if ts.count(&a) || a.pending != 0 {
				t.Fatal("one of the first was kept back")
			}
		}
		for i, step := range []struct {
			t     *tally
			first bool
		}{{&a, true}, {&a, false}, {&b, false}, {&a, false}} {
			if first := ts.count(step.t); first != step.first {
				t.Errorf("count %d: first %v", i, first)
			}
		}
		if a.pending != 3 || b.pending != 1 {
			t.Errorf("%d and %d are kept back", a.pending, b.pending)
		}
		if !ts.tell() || a.pending != 0 || b.pending != 0 || len(ts.pending) != 0 {
			t.Errorf("round %d: %d and %d are left", round, a.pending, b.pending)
		}
	}
	if ts.count(&a) || ts.tell() {
		t.Error("what was told at once was told again")
	}
}

package observe

import "testing"

func TestBatch(t *testing.T) {
	var batch Batch
	var a, b BatchedCounter
	for round := range 2 {
		for i := range countsAtOnce {
			if first := batch.Add(&a); first || a.pending != 0 {
				t.Fatalf("count %d: got %v with %d pending, want false and 0: it is sent at once", i, first, a.pending)
			}
		}
		for i, step := range []struct {
			counter *BatchedCounter
			want    bool
		}{{&a, true}, {&a, false}, {&b, false}, {&a, false}} {
			if got := batch.Add(step.counter); got != step.want {
				t.Errorf("late count %d: is the first that waits: got %v, want %v", i, got, step.want)
			}
		}
		if a.pending != 3 || b.pending != 1 {
			t.Errorf("got %d and %d pending, want 3 and 1", a.pending, b.pending)
		}
		if got := batch.Flush(); !got || a.pending != 0 || b.pending != 0 || len(batch.pending) != 0 {
			t.Errorf("round %d: Flush = %v with %d and %d left, want true and nothing left", round, got, a.pending, b.pending)
		}
	}
	if first, flushed := batch.Add(&a), batch.Flush(); first || flushed {
		t.Errorf("a count that was sent at once: Add = %v, Flush = %v, want false twice", first, flushed)
	}
}

package retry

import (
	"slices"
	"testing"
)

// FuzzState takes any bytes as a state. First unchanged: what Usable accepts must be safe to use. Then with a valid
// check, so that damage that it does not cover gets through, above all torn buckets.
func FuzzState(f *testing.F) {
	b := NewBudget(20, 3)
	f.Add([]byte{}, int64(100*second), 2)
	state := fresh()
	f.Add(slices.Clone(state), int64(100*second), 2)
	b.Request(state, int64(100*second))
	b.Reserve(state, int64(101*second), 3)
	f.Add(slices.Clone(state), int64(102*second), 2)
	f.Add(slices.Clone(state), int64(50*second), 9)
	f.Fuzz(func(t *testing.T, data []byte, now int64, n int) {
		checkUse(t, data, now, n)
		sealed := fresh()
		copy(sealed, data)
		setNewest(sealed, newest(sealed)&(1<<62-1)/width, era(sealed))
		checkUse(t, sealed, now, n)
	})
}

func checkUse(t *testing.T, state []byte, now int64, n int) {
	b := NewBudget(20, 3)
	if !b.Usable(state) {
		return
	}
	remaining := b.Remaining(state, now)
	r := b.Reserve(state, now, n)
	if int64(r.Granted) != min(max(int64(n), 0), remaining) {
		t.Fatalf("got %d of %d granted, want at most the %d that remained", r.Granted, n, remaining)
	}
	b.Request(state, now)
	b.Settle(state, now, r, n)
	b.Withdraw(state, now)
	if !b.Usable(state) || b.Remaining(state, now) < 0 {
		t.Fatalf("got %x, want a usable state", state)
	}
	// Whatever it contained no longer counts 10.5 s later.
	later := max(now, 0, newest(state)*width) + retriesCount*width
	if later > longestTime {
		return
	}
	if got := b.Remaining(state, later); got != 30 {
		t.Fatalf("10.5 s later: Remaining = %d, want 30: %x", got, state)
	}
}

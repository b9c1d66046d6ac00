package retry

import "testing"

// atWork is a state in which all buckets count, and a time in the newest.
func atWork(b *Budget) (state []byte, now int64) {
	state = fresh()
	for now = int64(1000 * second); now <= int64(1011*second); now += int64(100 * ms) {
		for range 100 {
			b.Request(state, now)
		}
		b.Withdraw(state, now)
	}
	return state, now
}

func TestNothingIsAllocated(t *testing.T) {
	b := NewBudget(20, 3)
	backoff := NewBackoff(BackoffConfig{Base: second, Max: 60 * second, Exponential: 2, Jitter: true})
	state, now := atWork(&b)
	granted, waited := 0, 0
	if n := testing.AllocsPerRun(100, func() {
		now += int64(70 * ms)
		b.Request(state, now)
		r := b.Reserve(state, now, 2)
		granted += r.Granted
		b.Settle(state, now+int64(second), r, 1)
		b.Withdraw(state, now)
		b.Remaining(state, now)
		b.Usable(state)
		for _, value := range [...]string{"5", "Sun, 06 Nov 1994 08:49:37 GMT"} {
			after, _ := ParseRetryAfter(value, 784111770)
			if backoff.Wait(1, after, uint64(now)) > 0 {
				waited++
			}
		}
	}); n != 0 {
		t.Errorf("got %g allocations, want 0", n)
	}
	if granted == 0 || waited == 0 {
		t.Errorf("got %d granted, %d waited, want some of both", granted, waited)
	}
}

func BenchmarkBudget(b *testing.B) {
	budget := NewBudget(20, 3)
	state, now := atWork(&budget)
	for _, tc := range []struct {
		name string
		do   func()
	}{
		{"request", func() { budget.Request(state, now) }},
		{"reserve and settle", func() { budget.Settle(state, now, budget.Reserve(state, now, 2), 0) }},
		{"remaining", func() { budget.Remaining(state, now) }},
		{"usable", func() { budget.Usable(state) }},
		{"each in a new half second", func() {
			now += width
			budget.Request(state, now)
		}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tc.do()
			}
		})
	}
}

func BenchmarkWait(b *testing.B) {
	backoff := NewBackoff(BackoffConfig{Base: second, Max: 60 * second, Exponential: 2, Jitter: true})
	for b.Loop() {
		backoff.Wait(3, second, 1<<60)
	}
}

func BenchmarkNewBackoff(b *testing.B) {
	for b.Loop() {
		NewBackoff(BackoffConfig{Base: second, Max: 60 * second, Exponential: 1.1, Jitter: true})
	}
}

package breaker

import (
	"testing"
	"time"
)

// requests are the ways of a request that do not differ in their cost from one to the next.
var requests = []struct {
	name   string
	config *Config
	state  State
	how    Call
}{
	{"consecutive/success", &consecutive, State{}, Call{Outcome: Success}},
	{"rates/success", &rates, State{}, Call{Outcome: Success}},
	{"rates/left", &rates, State{}, Call{}},
	{"open/refused", &consecutive, State{Status: Open, Since: 1 << 40, Wait: 10 * time.Second}, Call{}},
	{"half-open/left", &consecutive, State{Status: HalfOpen}, Call{}},
}

// way takes one request through the breaker.
func way(s *State, c *Config, how Call, now int64) {
	v := s.Admit(c, now)
	if v.Admitted {
		s.Enter(&v, now)
		s.Settle(c, v.Ticket, how, now)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	packed := make([]byte, 0, WindowSize)
	for _, r := range requests {
		s, now := r.state, int64(1<<40)
		if n := testing.AllocsPerRun(100, func() {
			now += ms
			way(&s, r.config, r.how, now)
			packed = s.Failed.AppendTo(packed[:0])
			s.Failed.Unpack(packed)
		}); n != 0 {
			t.Errorf("%s: %g allocations a request", r.name, n)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	for _, r := range requests {
		b.Run(r.name, func(b *testing.B) {
			s, now := r.state, int64(1<<40)
			b.ReportAllocs()
			for b.Loop() {
				way(&s, r.config, r.how, now)
			}
		})
	}
}

func BenchmarkWindowPacked(b *testing.B) {
	w := Window{Width: second, Start: 7 * second}
	packed := make([]byte, 0, WindowSize)
	b.ReportAllocs()
	for b.Loop() {
		packed = w.AppendTo(packed[:0])
		w.Unpack(packed)
	}
}

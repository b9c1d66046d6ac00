package breaker

import (
	"testing"
	"time"
)

// requests are requests that leave the breaker in a state in which the next one costs the same.
var requests = []struct {
	name   string
	config *Config
	state  State
	call   Call
}{
	{"consecutive/success", &consecutive, State{}, Call{Outcome: Success}},
	{"rates/success", &rates, State{}, Call{Outcome: Success}},
	{"rates/left", &rates, State{}, Call{}},
	{"open/refused", &consecutive, State{Status: Open, Since: 1 << 40, Wait: 10 * time.Second}, Call{}},
	{"half-open/left", &consecutive, State{Status: HalfOpen}, Call{}},
}

// request takes one request through the breaker.
func request(s *State, c *Config, call Call, now int64) {
	v := s.Admit(c, now)
	if v.Admitted {
		s.Enter(&v, now)
		s.Settle(c, v.Ticket, call, now)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	packed := make([]byte, 0, 1024)
	for _, r := range requests {
		s, now := r.state, int64(1<<40)
		if n := testing.AllocsPerRun(100, func() {
			now += ms
			request(&s, r.config, r.call, now)
			packed = s.AppendTo(packed[:0])
			s.Unpack(packed)
		}); n != 0 {
			t.Errorf("%s: got %g allocations for each request, want 0", r.name, n)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	for _, r := range requests {
		b.Run(r.name, func(b *testing.B) {
			s, now := r.state, int64(1<<40)
			b.ReportAllocs()
			for b.Loop() {
				request(&s, r.config, r.call, now)
			}
		})
	}
}

func BenchmarkPack(b *testing.B) {
	for name, s := range map[string]State{
		"fresh":   {},
		"windows": {Failed: Windows{{Width: second}}, Slow: Windows{{Width: second}}},
	} {
		b.Run(name, func(b *testing.B) {
			var packed []byte
			b.ReportAllocs()
			for b.Loop() {
				packed = s.AppendTo(packed[:0])
				s.Unpack(packed)
			}
		})
	}
}

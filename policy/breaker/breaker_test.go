package breaker

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

const second = int64(time.Second)

var config = Config{
	FailureThreshold: 3, SuccessThreshold: 2, Probes: 2,
	Recovery: 10 * time.Second, MaxRecovery: 40 * time.Second, ProbeTimeout: 5 * time.Second,
}

// line is a breaker under test: requests have a number, and their tickets are kept until they end.
type line struct {
	t       *testing.T
	state   State
	tickets map[int]Ticket
}

func (l *line) ask(request int, at int64) Verdict {
	next, v := Admit(l.state, &config, at)
	if v.Admitted {
		l.state, l.tickets[request] = next, v.Ticket
	} else if next != l.state {
		l.t.Fatalf("request %d: a refusal changed the state", request)
	}
	return v
}

func (l *line) end(request int, o Outcome, at int64) (transition bool) {
	next, changed, transition := Settle(l.state, &config, l.tickets[request], o, at)
	if !changed && next != l.state {
		l.t.Fatalf("request %d: an unreported change", request)
	}
	l.state = next
	return transition
}

func TestBreakerMoments(t *testing.T) {
	type moment struct {
		at      int64 // seconds
		ask     int   // request to admit, or
		end     int   // request to end
		outcome Outcome
		refused bool
		retry   time.Duration
		want    Status
	}
	for _, tc := range []struct {
		name    string
		moments []moment
	}{
		{"consecutive failures open it, a success between starts anew", []moment{
			{at: 100, ask: 1}, {at: 100, ask: 2}, {at: 100, ask: 3}, {at: 100, ask: 4}, {at: 100, ask: 5}, {at: 100, ask: 6},
			{at: 101, end: 1, outcome: Failure},
			{at: 101, end: 2, outcome: Failure},
			{at: 102, end: 3, outcome: Success},
			{at: 103, end: 4, outcome: Failure},
			{at: 103, end: 5, outcome: Failure},
			{at: 104, end: 6, outcome: Failure, want: Open},
		}},
		{"open refuses until the wait is over, then probes", []moment{
			{at: 100, ask: 1}, {at: 100, ask: 2}, {at: 100, ask: 3},
			{at: 100, end: 1, outcome: Failure}, {at: 100, end: 2, outcome: Failure},
			{at: 100, end: 3, outcome: Failure, want: Open},
			{at: 104, ask: 4, refused: true, retry: 6 * time.Second, want: Open},
			{at: 110, ask: 5, want: HalfOpen},
			{at: 110, ask: 6, want: HalfOpen},
			{at: 110, ask: 7, refused: true, retry: time.Second, want: HalfOpen},
			{at: 111, end: 5, outcome: Success, want: HalfOpen},
			{at: 111, ask: 8, want: HalfOpen},
			{at: 112, end: 6, outcome: Success, want: Closed},
			{at: 113, end: 8, outcome: Failure, want: Closed}, // of an earlier generation
			{at: 113, ask: 9, want: Closed},
		}},
		{"a failing probe doubles the wait, up to the longest", []moment{
			{at: 100, ask: 1}, {at: 100, ask: 2}, {at: 100, ask: 3},
			{at: 100, end: 1, outcome: Failure}, {at: 100, end: 2, outcome: Failure},
			{at: 100, end: 3, outcome: Failure, want: Open},
			{at: 110, ask: 4, want: HalfOpen},
			{at: 110, end: 4, outcome: Failure, want: Open},
			{at: 110, ask: 5, refused: true, retry: 20 * time.Second, want: Open},
			{at: 130, ask: 6, want: HalfOpen},
			{at: 130, end: 6, outcome: Failure, want: Open},
			{at: 130, ask: 7, refused: true, retry: 40 * time.Second, want: Open},
			{at: 170, ask: 8, want: HalfOpen},
			{at: 170, end: 8, outcome: Failure, want: Open},
			{at: 170, ask: 9, refused: true, retry: 40 * time.Second, want: Open},
			{at: 210, ask: 10, want: HalfOpen}, {at: 210, ask: 11, want: HalfOpen},
			{at: 210, end: 10, outcome: Success, want: HalfOpen}, {at: 210, end: 11, outcome: Success, want: Closed},
			{at: 210, ask: 12}, {at: 210, ask: 13}, {at: 210, ask: 14},
			{at: 210, end: 12, outcome: Failure}, {at: 210, end: 13, outcome: Failure},
			{at: 210, end: 14, outcome: Failure, want: Open},
			{at: 210, ask: 15, refused: true, retry: 10 * time.Second, want: Open}, // anew from the first wait
		}},
		{"a probe that never ends gives its place back; its late end frees nobody else's", []moment{
			{at: 100, ask: 1}, {at: 100, ask: 2}, {at: 100, ask: 3},
			{at: 100, end: 1, outcome: Failure}, {at: 100, end: 2, outcome: Failure},
			{at: 100, end: 3, outcome: Failure, want: Open},
			{at: 110, ask: 4, want: HalfOpen}, {at: 111, ask: 5, want: HalfOpen},
			{at: 114, ask: 6, refused: true, retry: time.Second, want: HalfOpen},
			{at: 115, ask: 7, want: HalfOpen}, // in 4's place
			{at: 115, ask: 8, refused: true, retry: time.Second, want: HalfOpen},
			{at: 115, end: 4, outcome: Neither, want: HalfOpen},
			{at: 115, ask: 9, refused: true, retry: time.Second, want: HalfOpen},
			{at: 116, ask: 10, want: HalfOpen}, // in 5's place
		}},
		{"clients that leave neither open nor close it, and give their place back", []moment{
			{at: 100, ask: 1}, {at: 100, ask: 2}, {at: 100, ask: 3}, {at: 100, ask: 4},
			{at: 100, end: 1, outcome: Neither}, {at: 100, end: 2, outcome: Failure}, {at: 100, end: 3, outcome: Failure},
			{at: 100, end: 4, outcome: Failure, want: Open},
			{at: 110, ask: 5, want: HalfOpen}, {at: 110, ask: 6, want: HalfOpen},
			{at: 110, end: 5, outcome: Neither, want: HalfOpen},
			{at: 110, ask: 7, want: HalfOpen},
		}},
		{"the clock jumps back: closed for no longer than the wait", []moment{
			{at: 100, ask: 1}, {at: 100, ask: 2}, {at: 100, ask: 3},
			{at: 100, end: 1, outcome: Failure}, {at: 100, end: 2, outcome: Failure},
			{at: 100, end: 3, outcome: Failure, want: Open},
			{at: 99, ask: 4, refused: true, retry: 10 * time.Second, want: Open},
			{at: 50, ask: 5, want: HalfOpen},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := &line{t: t, tickets: map[int]Ticket{}}
			for i, m := range tc.moments {
				before := l.state.Status
				switch {
				case m.ask != 0:
					v := l.ask(m.ask, m.at*second)
					if v.Admitted == m.refused || v.RetryAfter != m.retry {
						t.Fatalf("moment %d: request %d: got %+v, want refused %v, retry after %v", i, m.ask, v, m.refused, m.retry)
					}
				default:
					if moved := l.end(m.end, m.outcome, m.at*second); moved != (l.state.Status != before) {
						t.Fatalf("moment %d: transition reported: %v, status %v -> %v", i, moved, before, l.state.Status)
					}
				}
				if l.state.Status != m.want {
					t.Fatalf("moment %d: status %v, want %v", i, l.state.Status, m.want)
				}
			}
		})
	}
}

// TestBreakerInterleaved runs random requests with random ends, late and lost, and holds the invariants that no
// interleaving may break: the probes that run are at most the policy's, generations only grow, and half-open never
// lasts without a request being let through.
func TestBreakerInterleaved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{
			FailureThreshold: uint32(rapid.IntRange(1, 4).Draw(t, "failures")),
			SuccessThreshold: uint32(rapid.IntRange(1, 4).Draw(t, "successes")),
			Probes:           rapid.IntRange(1, 4).Draw(t, "probes"),
			Recovery:         10 * time.Second, MaxRecovery: 40 * time.Second, ProbeTimeout: 5 * time.Second,
		}
		type running struct {
			ticket Ticket
			ended  bool
		}
		var s State
		var open []running
		now := 1000 * second
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now += rapid.Int64Range(0, 3*second).Draw(t, "pass")
			generation := s.Generation
			if rapid.Bool().Draw(t, "ask") || len(open) == 0 {
				next, v := Admit(s, &c, now)
				if v.Admitted {
					s = next
					open = append(open, running{ticket: v.Ticket})
				} else if v.RetryAfter <= 0 {
					t.Fatalf("refused without a time to come back: %+v", v)
				}
				probes := 0
				for _, r := range open {
					if !r.ended && r.ticket.Slot >= 0 && r.ticket.Generation == s.Generation && r.ticket.Expiry > now {
						probes++
					}
				}
				if probes > c.Probes {
					t.Fatalf("%d probes run, %d allowed", probes, c.Probes)
				}
			} else {
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				o := rapid.SampledFrom([]Outcome{Neither, Success, Failure}).Draw(t, "outcome")
				next, _, transition := Settle(s, &c, open[i].ticket, o, now)
				if transition && open[i].ticket.Generation != s.Generation {
					t.Fatal("an outcome of an earlier generation moved the breaker")
				}
				s = next
				open[i].ended = true
				if rapid.Bool().Draw(t, "once") { // else the same end comes again later
					open = append(open[:i], open[i+1:]...)
				}
			}
			if s.Generation-generation > 1 {
				t.Fatalf("%d transitions for one cause", s.Generation-generation)
			}
		}
		// Whatever was lost, a patient client gets through.
		now += int64(c.MaxRecovery) + int64(c.ProbeTimeout)
		if _, v := Admit(s, &c, now); !v.Admitted {
			t.Fatalf("stuck %v: %+v", s.Status, v)
		}
	})
}

func BenchmarkAdmitAndSettle(b *testing.B) {
	var s State
	b.ReportAllocs()
	for b.Loop() {
		next, v := Admit(s, &config, second)
		s, _, _ = Settle(next, &config, v.Ticket, Success, second)
	}
}

package breaker

import "time"

// Verdict is the answer to Admit.
type Verdict struct {
	Admitted   bool
	HalfOpened bool          // this request found the wait to be over
	RetryAfter time.Duration // refused: until the next probe may run; 0 under ForcedOpen, which lasts until it is taken back
	Ticket     Ticket        // admitted
}

// Admit decides about one request at time now and changes nothing, so that a request which something else refuses has
// not cost a probe's place. One that goes on has to Enter, in the same compare-and-swap.
func (s *State) Admit(c *Config, now int64) Verdict {
	switch s.Status {
	case Closed:
		return Verdict{Admitted: true, Ticket: Ticket{Generation: s.Generation, Slot: -1}}
	case Open:
		if s.Forced == ForcedOpen {
			return Verdict{}
		}
		if left := s.left(c, now); left > 0 {
			return Verdict{RetryAfter: left}
		}
		return Verdict{Admitted: true, HalfOpened: true, Ticket: Ticket{
			Generation: s.Generation + 1, Expiry: now + int64(c.ProbeTimeout),
		}}
	default:
		return s.probe(c, now)
	}
}

// probe looks for a free place, or one whose holder has lost it. Places beyond Config.Probes were given by a policy
// with more of them, and their holders still run.
func (s *State) probe(c *Config, now int64) Verdict {
	expiry := now + int64(c.ProbeTimeout)
	free, held, soonest := -1, 0, int64(0)
	for i, holds := range &s.Probes {
		if holds <= now || holds > expiry+int64(skew) { // lost, or not given by this policy and this clock
			if free < 0 {
				free = i
			}
			continue
		}
		held++
		if soonest == 0 || holds < soonest {
			soonest = holds
		}
	}
	if held < c.Probes && free >= 0 {
		return Verdict{Admitted: true, Ticket: Ticket{Generation: s.Generation, Slot: int8(free), Expiry: expiry}}
	}
	// Probes seldom last as long as their expiry: a second is what a client should wait before it asks again.
	return Verdict{RetryAfter: min(time.Duration(soonest-now), time.Second)}
}

// Enter notes an admitted request that goes on, at the time of its Admit and on the same state. It reports whether the
// state changed and must be stored.
func (s *State) Enter(v *Verdict, now int64) (changed bool) {
	if !v.Admitted || v.Ticket.Slot < 0 {
		return false
	}
	if v.HalfOpened {
		s.to(HalfOpen, RecoveryTimeout, now)
	}
	s.Probes[v.Ticket.Slot] = v.Ticket.Expiry
	return true
}

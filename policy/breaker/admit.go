package breaker

import "time"

// Verdict is the result of Admit.
type Verdict struct {
	Admitted   bool
	HalfOpened bool          // the wait is over, this request is the first probe
	RetryAfter time.Duration // refused: until the next probe may run; 0 with ForcedOpen, whose end is not known
	Ticket     Ticket        // admitted
}

// Admit decides about one request at time now and changes nothing, so that a request that another stage refuses takes
// no probe slot. A request that no stage refuses calls Enter, in the same compare-and-swap.
func (s *State) Admit(c *Config, now int64) Verdict {
	switch s.Status {
	case Closed:
		return Verdict{Admitted: true, Ticket: Ticket{Generation: s.Generation, Slot: -1}}
	case Open:
		if s.Forced == ForcedOpen {
			return Verdict{}
		}
		if wait := s.remainingWait(c, now); wait > 0 {
			return Verdict{RetryAfter: wait}
		}
		return Verdict{Admitted: true, HalfOpened: true, Ticket: Ticket{
			Generation: s.Generation + 1, Expiry: now + int64(c.ProbeTimeout),
		}}
	default:
		return s.probe(c, now)
	}
}

// probe looks for a slot that is free or expired. Slots beyond Config.Probes were taken under a policy with more
// probes, and those probes still run.
func (s *State) probe(c *Config, now int64) Verdict {
	expiry := now + int64(c.ProbeTimeout)
	free, running, soonest := -1, 0, int64(0)
	for i, slot := range &s.Probes {
		if slot <= now || slot > expiry+int64(skew) { // expired, or not taken under this policy and by this clock
			if free < 0 {
				free = i
			}
			continue
		}
		running++
		if soonest == 0 || slot < soonest {
			soonest = slot
		}
	}
	if running < c.Probes && free >= 0 {
		return Verdict{Admitted: true, Ticket: Ticket{Generation: s.Generation, Slot: int8(free), Expiry: expiry}}
	}
	// Probes seldom run until they expire: a client should try again after at most a second.
	return Verdict{RetryAfter: min(time.Duration(soonest-now), time.Second)}
}

// Enter records an admitted request that no stage refuses, with the time and the state of its Admit. It reports whether
// the state changed and must be stored.
func (s *State) Enter(v *Verdict, now int64) (changed bool) {
	if !v.Admitted || v.Ticket.Slot < 0 {
		return false
	}
	if v.HalfOpened {
		s.transition(HalfOpen, RecoveryTimeout, now)
	}
	s.Probes[v.Ticket.Slot] = v.Ticket.Expiry
	return true
}

package breaker

import "time"

// Outcome is what became of an admitted request.
type Outcome uint8

// The outcomes of a request. Neither is what the client did, or what never came from upstream: it counts nowhere.
const (
	Neither Outcome = iota
	Success
	Failure
)

// Call is how an admitted request ended. A slow success is a success to the consecutive failures and to the failure
// rate; half-open, where slow calls count, a slow probe is a failed one.
type Call struct {
	Outcome Outcome
	Slow    bool
}

// Call is a call with this outcome that took this long.
func (c *Config) Call(o Outcome, took time.Duration) Call {
	return Call{Outcome: o, Slow: c.SlowCalls != nil && took > c.SlowCalls.SlowerThan}
}

// Settle records how a ticket's request ended. It reports whether the state changed and must be stored, and the cause
// where that was a transition (s.Status tells to what), else Unmoved.
func (s *State) Settle(c *Config, t Ticket, call Call, now int64) (changed bool, cause Cause) {
	if t.Generation != s.Generation {
		return false, Unmoved
	}
	if t.Slot >= 0 && int(t.Slot) < MaxProbes && t.Expiry != 0 && s.Probes[t.Slot] == t.Expiry {
		s.Probes[t.Slot] = 0
		changed = true
	}
	if call.Outcome == Neither {
		return changed, Unmoved
	}
	if s.Forced == ForcedClosed {
		return changed, Unmoved
	}
	switch s.Status {
	case Closed:
		counted := s.count(c, call, now)
		if cause = s.tripped(c); cause != Unmoved {
			s.to(Open, cause, now)
			s.Wait = c.Recovery
		}
		return changed || counted, cause
	case HalfOpen:
		return true, s.settleProbe(c, call, now)
	default: // nothing is admitted under an open breaker's generation
		return changed, Unmoved
	}
}

// count adds a call to all that a closed breaker counts.
func (s *State) count(c *Config, call Call, now int64) (changed bool) {
	if call.Outcome == Failure {
		s.Failures++
		changed = true
	} else if s.Failures != 0 {
		s.Failures = 0
		changed = true
	}
	if c.FailureRate != nil {
		s.Failed.add(c.FailureRate, call.Outcome == Failure, now)
		changed = true
	}
	if c.SlowCalls != nil {
		s.Slow.add(&c.SlowCalls.Rate, call.Slow, now)
		changed = true
	}
	return changed
}

// tripped says what, of all that was counted, opens a closed breaker.
func (s *State) tripped(c *Config) Cause {
	switch {
	case s.Failures >= c.FailureThreshold:
		return ConsecutiveFailures
	case c.FailureRate != nil && s.Failed.reaches(c.FailureRate):
		return FailureRate
	case c.SlowCalls != nil && s.Slow.reaches(&c.SlowCalls.Rate):
		return SlowCalls
	}
	return Unmoved
}

// settleProbe records a half-open breaker's call. A probe that lost its place counts too: that upstream answers too
// late is no less true.
func (s *State) settleProbe(c *Config, call Call, now int64) Cause {
	cause := Unmoved
	switch {
	case call.Outcome == Failure:
		cause = FailedProbe
	case call.Slow && c.SlowCalls != nil:
		cause = SlowProbe
	}
	if cause != Unmoved {
		wait := min(max(2*s.Wait, c.Recovery), c.MaxRecovery)
		s.to(Open, cause, now)
		s.Wait = wait
		return cause
	}
	s.Successes++
	if s.Successes < c.SuccessThreshold {
		return Unmoved
	}
	s.to(Closed, ProbesSucceeded, now)
	return ProbesSucceeded
}

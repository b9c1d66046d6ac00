package breaker

import "time"

// Outcome is how an admitted request ended.
type Outcome uint8

// The outcomes of a request. Neither is one that upstream did not cause, as when the client leaves: it is not counted.
const (
	Neither Outcome = iota
	Success
	Failure
)

// Call is an outcome and whether it was slow. A slow success counts as a success for the consecutive failures and the
// failure rate; but if slow calls count, a slow probe is a failed one.
type Call struct {
	Outcome Outcome
	Slow    bool
	Untimed bool // how long it took says nothing about upstream: the slow calls do not count it
}

// Untimed is how long a call took that is not judged by it.
const Untimed time.Duration = -1

// Call is a call with this outcome that took this long.
func (c *Config) Call(o Outcome, took time.Duration) Call {
	return Call{Outcome: o, Slow: c.SlowCalls != nil && took > c.SlowCalls.SlowerThan, Untimed: took == Untimed}
}

// Settle records how a ticket's request ended. It reports whether the state changed and must be stored, and the cause
// of the transition to s.Status, or NoTransition.
func (s *State) Settle(c *Config, t Ticket, call Call, now int64) (changed bool, cause Cause) {
	if t.Generation != s.Generation && !s.closedBy(t) {
		return false, NoTransition
	}
	if t.Slot >= 0 && int(t.Slot) < MaxProbes && t.Expiry != 0 && s.Probes[t.Slot] == t.Expiry {
		s.Probes[t.Slot] = 0
		changed = true
	}
	if call.Outcome == Neither {
		return changed, NoTransition
	}
	if s.Forced == ForcedClosed {
		return changed, NoTransition
	}
	switch s.Status {
	case Closed:
		counted := s.count(c, call, now)
		if cause = s.tripped(c); cause != NoTransition {
			s.transition(Open, cause, now)
			s.Wait = c.Recovery
		}
		return changed || counted, cause
	case HalfOpen:
		return true, s.settleProbe(c, call, now)
	default: // an open breaker admits nothing in its generation
		return changed, NoTransition
	}
}

// closedBy reports whether a stream that was accepted as a probe helped to close this breaker: a later failure of it
// counts, or an upstream that accepts each stream and then breaks it would look well.
func (s *State) closedBy(t Ticket) bool {
	return t.Accepted && s.Status == Closed && s.Cause == ProbesSucceeded && s.Generation == t.Generation+1
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
	if c.SlowCalls != nil && !call.Untimed {
		s.Slow.add(&c.SlowCalls.Rate, call.Slow, now)
		changed = true
	}
	return changed
}

// tripped returns what opens a closed breaker, if anything that was counted does.
func (s *State) tripped(c *Config) Cause {
	switch {
	case s.Failures >= c.FailureThreshold:
		return ConsecutiveFailures
	case c.FailureRate != nil && s.Failed.reaches(c.FailureRate):
		return FailureRate
	case c.SlowCalls != nil && s.Slow.reaches(&c.SlowCalls.Rate):
		return SlowCalls
	}
	return NoTransition
}

// settleProbe records a call of a half-open breaker. A probe that lost its slot counts as well: its outcome still
// describes the upstream.
func (s *State) settleProbe(c *Config, call Call, now int64) Cause {
	cause := NoTransition
	switch {
	case call.Outcome == Failure:
		cause = FailedProbe
	case call.Slow && c.SlowCalls != nil:
		cause = SlowProbe
	}
	if cause != NoTransition {
		wait := min(max(2*s.Wait, c.Recovery), c.MaxRecovery)
		s.transition(Open, cause, now)
		s.Wait = wait
		return cause
	}
	s.Successes++
	if s.Successes < c.SuccessThreshold {
		return NoTransition
	}
	s.transition(Closed, ProbesSucceeded, now)
	return ProbesSucceeded
}

package breaker

import "fmt"

// model is a breaker that keeps all calls of its generation, and counts them anew each time.
type model struct {
	c          *Config
	status     Status
	generation uint32
	since      int64
	cause      Cause // of the last transition
	wait       int64
	forced     Forced
	ended      []ended // calls that count
	probes     []int64 // expiry of each slot, 0: the probe ended
}

type ended struct {
	at   int64
	call Call
}

func (m *model) to(s Status, cause Cause, now int64) {
	*m = model{c: m.c, status: s, generation: m.generation + 1, since: now, cause: cause, wait: m.wait, forced: m.forced}
}

// operate carries out an operator's action.
func (m *model) operate(o operator, now int64) Cause {
	from, since, last := m.status, m.since, m.cause
	switch {
	case o == resets:
		m.to(Closed, Operator, now)
	case o.forces() == m.forced:
		return NoTransition
	case o == forcesOpen:
		m.to(Open, Operator, now)
	case o == forcesClosed:
		m.to(Closed, Operator, now)
	default:
		m.to(m.status, Operator, now)
	}
	m.wait, m.forced = 0, NotForced
	if o != resets {
		m.forced = o.forces()
	}
	if m.status == from {
		m.since, m.cause = since, last
		return NoTransition
	}
	return Operator
}

// admit returns whether a request at this time is admitted, and whether it is a probe.
func (m *model) admit(now int64) (admitted, probe, halfOpened bool) {
	if m.status == Open && m.forced == NotForced && max(now-m.since, 0) >= m.wait {
		m.to(HalfOpen, RecoveryTimeout, now)
		halfOpened = true
	}
	switch m.status {
	case Closed:
		return true, false, false
	case Open:
		return false, false, false
	}
	running, expired := 0, -1
	for i, expiry := range m.probes {
		switch {
		case expiry > now:
			running++
		case expired < 0:
			expired = i
		}
	}
	if running == m.c.Probes {
		return false, false, halfOpened
	}
	if expired < 0 {
		expired, m.probes = len(m.probes), append(m.probes, 0)
	}
	m.probes[expired] = now + int64(m.c.ProbeTimeout)
	return true, true, halfOpened
}

// settle records how a ticket's call ended, and returns the cause of the transition.
func (m *model) settle(t Ticket, call Call, now int64) Cause {
	if t.Generation != m.generation {
		return NoTransition
	}
	if m.forced == ForcedClosed {
		return NoTransition
	}
	if t.Slot >= 0 && m.probes[t.Slot] == t.Expiry {
		m.probes[t.Slot] = 0
	}
	if call.Outcome == Neither {
		return NoTransition
	}
	newest := now
	if n := len(m.ended); n > 0 {
		newest = max(now, m.ended[n-1].at) // another worker's clock was ahead
	}
	m.ended = append(m.ended, ended{newest, call})
	slow := call.Slow && m.c.SlowCalls != nil
	if m.status == HalfOpen {
		switch {
		case call.Outcome == Failure, slow:
			wait := min(max(2*m.wait, int64(m.c.Recovery)), int64(m.c.MaxRecovery))
			cause := SlowProbe
			if call.Outcome == Failure {
				cause = FailedProbe
			}
			m.to(Open, cause, now)
			m.wait = wait
			return cause
		case len(m.ended) == int(m.c.SuccessThreshold):
			m.to(Closed, ProbesSucceeded, now)
			return ProbesSucceeded
		}
		return NoTransition
	}
	cause := m.trips(newest)
	if cause != NoTransition {
		m.to(Open, cause, now)
		m.wait = int64(m.c.Recovery)
	}
	return cause
}

func (m *model) trips(now int64) Cause {
	failed, slow := m.calls(func(c Call) bool { return c.Outcome == Failure }), m.calls(func(c Call) bool { return c.Slow })
	switch r, s := m.c.FailureRate, m.c.SlowCalls; {
	case m.consecutive() >= int(m.c.FailureThreshold):
		return ConsecutiveFailures
	case r != nil && r.reached(noEarlierThan(failed, r.width(), now)):
		return FailureRate
	case s != nil && s.reached(noEarlierThan(slow, s.width(), now)):
		return SlowCalls
	}
	return NoTransition
}

// calls is all calls that ended, bad or not.
func (m *model) calls(bad func(Call) bool) (calls []call) {
	for _, e := range m.ended {
		calls = append(calls, call{e.at, bad(e.call)})
	}
	return calls
}

// consecutive is the number of failures since the last success.
func (m *model) consecutive() (failures int) {
	for _, e := range m.ended {
		failures++
		if e.call.Outcome != Failure {
			failures = 0
		}
	}
	return failures
}

// differs describes how a state differs from the model.
func (m *model) differs(s *State, now int64) error {
	if s.Status != m.status || s.Generation != m.generation || s.Forced != m.forced || (m.status != Closed && s.Since != m.since) {
		return fmt.Errorf("got status %v in generation %d, want %v in %d", s.Status, s.Generation, m.status, m.generation)
	}
	if s.Cause != m.cause {
		return fmt.Errorf("got cause %v of the last transition, want %v", s.Cause, m.cause)
	}
	taken, wantTaken := 0, 0
	for _, expiry := range s.Probes {
		if expiry > now {
			taken++
		}
	}
	for _, expiry := range m.probes {
		if expiry > now {
			wantTaken++
		}
	}
	successes, failures := 0, m.consecutive()
	if m.status == HalfOpen {
		successes = len(m.ended)
	}
	if taken != wantTaken || int(s.Successes) != successes || int(s.Failures) != failures {
		return fmt.Errorf("got %d slots taken, %d successes, %d failures, want %d, %d, %d", taken, s.Successes, s.Failures, wantTaken, successes, failures)
	}
	return nil
}

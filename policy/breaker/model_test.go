package breaker

import "fmt"

// model is a breaker that keeps all that happened in its generation, and counts it anew each time.
type model struct {
	c          *Config
	status     Status
	generation uint32
	since      int64
	cause      Cause // of the last transition
	wait       int64
	forced     Forced
	ended      []ended // calls that said something of upstream
	probes     []int64 // places: the expiry of who holds or lost it, 0 where it ended
}

type ended struct {
	at   int64
	call Call
}

func (m *model) to(s Status, cause Cause, now int64) {
	*m = model{c: m.c, status: s, generation: m.generation + 1, since: now, cause: cause, wait: m.wait, forced: m.forced}
}

// operate does what an operator wants.
func (m *model) operate(o operator, now int64) Cause {
	from, since, last := m.status, m.since, m.cause
	switch {
	case o == resets:
		m.to(Closed, Operator, now)
	case o.forces() == m.forced:
		return Unmoved
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
		return Unmoved
	}
	return Operator
}

// admit says whether a request at this time passes, and whether it is a probe.
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
	held, lost := 0, -1
	for i, expiry := range m.probes {
		switch {
		case expiry > now:
			held++
		case lost < 0:
			lost = i
		}
	}
	if held == m.c.Probes {
		return false, false, halfOpened
	}
	if lost < 0 {
		lost, m.probes = len(m.probes), append(m.probes, 0)
	}
	m.probes[lost] = now + int64(m.c.ProbeTimeout)
	return true, true, halfOpened
}

// settle says what the end of a ticket's call makes of the breaker.
func (m *model) settle(t Ticket, call Call, now int64) Cause {
	if t.Generation != m.generation {
		return Unmoved
	}
	if m.forced == ForcedClosed {
		return Unmoved
	}
	if t.Slot >= 0 && m.probes[t.Slot] == t.Expiry {
		m.probes[t.Slot] = 0
	}
	if call.Outcome == Neither {
		return Unmoved
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
		return Unmoved
	}
	cause := m.trips(newest)
	if cause != Unmoved {
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
	return Unmoved
}

// calls is all calls that ended, by what makes one bad.
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

// differs says what of a state is not as the model has it.
func (m *model) differs(s *State, now int64) error {
	if s.Status != m.status || s.Generation != m.generation || s.Forced != m.forced || (m.status != Closed && s.Since != m.since) {
		return fmt.Errorf("status %v of generation %d, want %v of %d", s.Status, s.Generation, m.status, m.generation)
	}
	if s.Cause != m.cause {
		return fmt.Errorf("the last transition came by %v, want %v", s.Cause, m.cause)
	}
	places, held := 0, 0
	for _, expiry := range s.Probes {
		if expiry > now {
			places++
		}
	}
	for _, expiry := range m.probes {
		if expiry > now {
			held++
		}
	}
	successes, failures := 0, m.consecutive()
	if m.status == HalfOpen {
		successes = len(m.ended)
	}
	if places != held || int(s.Successes) != successes || int(s.Failures) != failures {
		return fmt.Errorf("%d places, %d successes, %d failures; want %d, %d, %d", places, s.Successes, s.Failures, held, successes, failures)
	}
	return nil
}

package breaker

// Force sets an operator's override, or removes it (NotForced). It reports whether the state changed and must be
// stored, and the cause if that was a transition.
//
// ForcedOpen refuses every request, without a RetryAfter because its end is not known. ForcedClosed admits every
// request and counts no outcome. Each change starts a new generation, so the outcomes of requests admitted before are
// ignored.
//
// When ForcedOpen is removed, the breaker stays open with its wait over: the next requests are probes, so that an
// upstream that an operator took out does not get all requests at once. When ForcedClosed is removed, it is closed with
// nothing counted.
func (s *State) Force(f Forced, now int64) (changed bool, cause Cause) {
	if f == s.Forced {
		return false, NoTransition
	}
	status := s.Status
	switch f {
	case ForcedOpen:
		status = Open
	case ForcedClosed:
		status = Closed
	}
	cause = s.newGeneration(status, now)
	s.Forced, s.Wait = f, 0
	return true, cause
}

// Reset makes the breaker a fresh one, closed and not forced, in a new generation: the outcomes of requests admitted
// before are ignored. It returns the cause if that was a transition. The state must be stored in any case.
func (s *State) Reset(now int64) (cause Cause) {
	cause = s.newGeneration(Closed, now)
	s.Forced, s.Wait, s.Opens = NotForced, 0, 0
	return cause
}

// newGeneration starts a new generation for an operator, also if the status stays the same.
func (s *State) newGeneration(status Status, now int64) (cause Cause) {
	from, opens, since, last := s.Status, s.Opens, s.Since, s.Cause
	s.transition(status, Operator, now)
	if status == from {
		s.Opens, s.Since, s.Cause = opens, since, last
		return NoTransition
	}
	return Operator
}

package breaker

// Force makes the breaker what an operator wants of it, or leaves it to itself again (NotForced). It reports whether the
// state changed and must be stored, and the cause where that was a transition.
//
// ForcedOpen refuses every request and names no time to come back, for nobody knows one. ForcedClosed admits every request, and
// nothing that becomes of one is counted or opens it. Each change starts a new generation, so what was admitted before says
// nothing after.
//
// Taken back from open, the breaker stays open with its wait over: the next request is a probe, and success_threshold of
// them close it, rather than that all requests go at once to an upstream that somebody took out. Taken back from closed,
// it is closed with nothing counted.
func (s *State) Force(f Forced, now int64) (changed bool, cause Cause) {
	if f == s.Forced {
		return false, Unmoved
	}
	status := s.Status
	switch f {
	case ForcedOpen:
		status = Open
	case ForcedClosed:
		status = Closed
	}
	cause = s.begin(status, now)
	s.Forced, s.Wait = f, 0
	return true, cause
}

// Reset makes the breaker a fresh one, closed and not forced, for whoever was admitted before as well: it is a new
// generation. It reports the cause where that was a transition. The state is to be stored in any case.
func (s *State) Reset(now int64) (cause Cause) {
	cause = s.begin(Closed, now)
	s.Forced, s.Wait, s.Opens = NotForced, 0, 0
	return cause
}

// begin starts a new generation by an operator's word, also where the status stays.
func (s *State) begin(status Status, now int64) (cause Cause) {
	from, opens, since, last := s.Status, s.Opens, s.Since, s.Cause
	s.to(status, Operator, now)
	if status == from {
		s.Opens, s.Since, s.Cause = opens, since, last
		return Unmoved
	}
	return Operator
}

package breaker

// Admit is State.Admit and Enter by value. The caller stores the new state when the request goes on; a refusal changes
// nothing, so it costs no write.
func Admit(s State, c *Config, now int64) (State, Verdict) {
	v := s.Admit(c, now)
	s.Enter(&v, now)
	return s, v
}

// Settle is State.Settle by value, for a call that was not slow.
func Settle(s State, c *Config, t Ticket, o Outcome, now int64) (next State, changed, transition bool) {
	changed, cause := s.Settle(c, t, Call{Outcome: o}, now)
	return s, changed, cause != Unmoved
}

package policy

import "time"

// DefaultMinClientDeadline is circuit_breaker.min_client_deadline where it is not written: as long as resilience4j's TimeLimiter
// lets a call take by default.
const DefaultMinClientDeadline = time.Second

var fraction = between{low: 0, openLow: true, high: 1}

// decodeCircuitBreaker reads `circuit_breaker`.
func decodeCircuitBreaker(s *section) *CircuitBreaker {
	if s == nil {
		return nil
	}
	b := &CircuitBreaker{
		FailureThreshold: int(s.whole("failure_threshold", 5, 1, maxCount)),
		RecoveryTimeout:  s.duration("recovery_timeout", time.Minute, shortest, longest),
		SuccessThreshold: int(s.whole("success_threshold", 3, 1, maxCount)),
		HalfOpenMaxCalls: int(s.whole("half_open_max_calls", 3, 1, 32)),
		Timeout:          s.duration("timeout", 30*time.Second, shortest, longest),
		TimeoutWritten:   s.has("timeout"),
		FailureRate:      decodeFailureRate(s.section("failure_rate")),
		SlowCalls:        decodeSlowCalls(s.section("slow_calls")),
		ExpectedFailures: decodeFailures(s, "expected_failures", defaultFailures...),
	}
	longestWait, written := s.optionalDuration("max_recovery_timeout", "recovery_timeout", shortest, longest)
	if !written {
		longestWait = b.RecoveryTimeout
	}
	b.MaxRecoveryTimeout = longestWait
	s.notBelow("max_recovery_timeout", b.MaxRecoveryTimeout, "recovery_timeout", b.RecoveryTimeout)
	least, written := s.optionalDuration("min_client_deadline", "1s, at most timeout", shortest, longest)
	if !written {
		least = min(DefaultMinClientDeadline, b.Timeout)
	}
	b.MinClientDeadline = least
	s.notAbove("min_client_deadline", least, "timeout", b.Timeout)
	s.end()
	return b
}

func decodeFailureRate(s *section) *FailureRate {
	if s == nil {
		return nil
	}
	f := &FailureRate{
		Threshold: s.number("threshold", 0.5, fraction),
		Window:    s.duration("window", 30*time.Second, 100*time.Millisecond, longest),
		MinCalls:  int(s.whole("min_calls", 20, 1, maxCount)),
	}
	s.end()
	return f
}

func decodeSlowCalls(s *section) *SlowCalls {
	if s == nil {
		return nil
	}
	c := &SlowCalls{
		SlowerThan: s.duration("slower_than", 2*time.Second, shortest, longest),
		Threshold:  s.number("threshold", 0.8, fraction),
		Window:     s.duration("window", 30*time.Second, 100*time.Millisecond, longest),
		MinCalls:   int(s.whole("min_calls", 20, 1, maxCount)),
	}
	s.end()
	return c
}

// notBelow checks that a duration is not shorter than another, unless the section has a mistake already.
func (s *section) notBelow(name string, is time.Duration, other string, least time.Duration) {
	if !s.clean() || is >= least {
		return
	}
	got := durationText(is)
	if !s.has(name) {
		got += ", its default"
	}
	s.mistake(name, "must be at least "+other+" ("+durationText(least)+"), got "+got)
}

// notAbove checks that a duration is not longer than another, unless the section has a mistake already.
func (s *section) notAbove(name string, is time.Duration, other string, most time.Duration) {
	if s.clean() && is > most {
		s.mistake(name, "must be at most "+other+" ("+durationText(most)+"), got "+durationText(is))
	}
}

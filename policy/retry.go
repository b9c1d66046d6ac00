package policy

import "time"

const maxBodyBytes = 1 << 20

// decodeRetry reads `retry`.
func decodeRetry(s *section) *Retry {
	if s == nil {
		return nil
	}
	r := &Retry{
		MaxAttempts:     int(s.whole("max_attempts", 3, 1, 10)),
		BaseDelay:       s.duration("base_delay", time.Second, shortest, longest),
		MaxDelay:        s.duration("max_delay", time.Minute, shortest, longest),
		ExponentialBase: s.number("exponential_base", 2, between{low: 1, high: 10}),
		Jitter:          s.boolean("jitter", true),
		RetryOn:         decodeFailures(s, "retry_on", "5xx", "reset", "connect_failure", "timeout"),
		Methods:         s.texts("methods", "methods", []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}, method),
		Driver:          RetryDriver(s.choice("driver", "envoy", "filter")),
		MaxBodyBytes:    s.whole("max_body_bytes", 65536, 0, maxBodyBytes),
	}
	r.PerTryTimeout, _ = s.optionalDuration("per_try_timeout", "none", shortest, longest)
	r.Budget = decodeRetryBudget(s.subsection("budget"))
	r.Via = s.text("via", "cluster", "", func(name string) string {
		if name == "" {
			return ""
		}
		return clusterName(name)
	})
	s.notBelow("max_delay", r.MaxDelay, "base_delay", r.BaseDelay)
	if r.Driver == DriverEnvoy {
		// The router's back-off has no other shape, and a policy that says another one would not get it.
		if r.ExponentialBase != 2 {
			s.mistake("exponential_base", "Envoy's router knows only 2, got %s; write `driver: filter`", numberText(r.ExponentialBase))
		}
		if !r.Jitter {
			s.mistake("jitter", "Envoy's router always adds it; write `driver: filter` to do without")
		}
	}
	s.end()
	return r
}

func decodeRetryBudget(s *section) RetryBudget {
	b := RetryBudget{
		Percent:      s.number("percent", 20, between{low: 0, high: 100}),
		MinPerSecond: s.number("min_per_second", 3, between{low: 0, high: maxCount}),
	}
	s.end()
	return b
}

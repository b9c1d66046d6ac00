package breaker

import "time"

// MaxProbes is the largest number of places for half-open probes that a State holds.
const MaxProbes = 32

// Status is where a breaker stands. The numbers are those of the metric weir_breaker_state.
type Status uint8

// The states of a breaker.
const (
	Closed   Status = 0 // requests pass
	HalfOpen Status = 1 // probes pass
	Open     Status = 2 // requests are refused
)

// String names the status as logs and the metric's `to` label do.
func (s Status) String() string {
	switch s {
	case Closed:
		return "closed"
	case HalfOpen:
		return "half_open"
	default:
		return "open"
	}
}

// Config is what a breaker is told by its policy.
type Config struct {
	FailureThreshold uint32        // consecutive failures that open it, at least 1
	SuccessThreshold uint32        // consecutive successes, half-open, that close it, at least 1
	Probes           int           // half-open requests at a time, 1 to MaxProbes
	Recovery         time.Duration // the first wait while open
	MaxRecovery      time.Duration // the longest wait while open, at least Recovery
	ProbeTimeout     time.Duration // after it a probe that never ended gives its place back
}

// State is one breaker. The zero State is a fresh one, closed. Times are nanoseconds of a monotonic clock.
type State struct {
	Status     Status
	Generation uint32 // counts transitions
	Failures   uint32 // consecutive, while closed
	Successes  uint32 // consecutive, while half-open
	Opens      uint32 // how often it opened
	Since      int64  // when it took this status; 0 while it never changed
	Wait       time.Duration
	Probes     [MaxProbes]int64 // when each place's holder loses it; 0 is a free place
}

// Ticket is what an admitted request keeps until its outcome is known. It has one owner and is settled once.
type Ticket struct {
	Generation uint32
	Slot       int8  // the probe's place, -1 for a request that is no probe
	Expiry     int64 // of the place: tells this probe's place from the next one's
}

// Verdict is the answer to Admit.
type Verdict struct {
	Admitted   bool
	HalfOpened bool          // this request found the wait to be over; store the new state
	RetryAfter time.Duration // refused: until the next probe may run
	Ticket     Ticket        // admitted
}

// Outcome is what became of an admitted request.
type Outcome uint8

// The outcomes of a request. Neither is what the client did, or what never came from upstream.
const (
	Neither Outcome = iota
	Success
	Failure
)

// Admit asks for one request at time now. The caller stores the new state when the request goes on; a refusal
// changes nothing, so it costs no write.
func Admit(s State, c *Config, now int64) (State, Verdict) {
	switch s.Status {
	case Closed:
		return s, Verdict{Admitted: true, Ticket: Ticket{Generation: s.Generation, Slot: -1}}
	case Open:
		if left := s.left(c, now); left > 0 {
			return s, Verdict{RetryAfter: left}
		}
		s = s.to(HalfOpen, now)
		s, v := probe(s, c, now)
		v.HalfOpened = true
		return s, v
	default:
		return probe(s, c, now)
	}
}

// RetryAfter tells when an open breaker lets the next probe run; 0 where it is not open.
func RetryAfter(s *State, c *Config, now int64) time.Duration {
	if s.Status != Open {
		return 0
	}
	return max(s.left(c, now), 0)
}

// left is how much of the wait remains. A Since later than now is another worker's reading of the same clock, a few
// nanoseconds ahead, and counts as now. One that is later by more than the whole wait can't be ours (a torn record, a
// clock that jumped): the wait is taken to be over rather than to last for ever.
func (s *State) left(c *Config, now int64) time.Duration {
	wait := min(s.Wait, c.MaxRecovery)
	passed := time.Duration(now - s.Since)
	if passed < 0 {
		if passed < -wait {
			return 0
		}
		passed = 0
	}
	return wait - passed
}

// probe takes a free place, or one whose holder has lost it.
func probe(s State, c *Config, now int64) (State, Verdict) {
	expiry := now + int64(c.ProbeTimeout)
	soonest := int64(0)
	for i := range s.Probes[:min(c.Probes, MaxProbes)] {
		// An expiry further away than ProbeTimeout was not given by this policy and this clock.
		if held := s.Probes[i]; held > now && held <= expiry {
			if soonest == 0 || held < soonest {
				soonest = held
			}
			continue
		}
		s.Probes[i] = expiry
		return s, Verdict{Admitted: true, Ticket: Ticket{Generation: s.Generation, Slot: int8(i), Expiry: expiry}}
	}
	// Probes seldom last as long as their expiry: a second is what a client should wait before it asks again.
	return s, Verdict{RetryAfter: min(time.Duration(soonest-now), time.Second)}
}

// Settle records what became of a ticket's request. It reports whether the state changed and must be stored, and
// whether that was a transition (s.Status tells to what).
func Settle(s State, c *Config, t Ticket, o Outcome, now int64) (next State, changed, transition bool) {
	if t.Generation != s.Generation {
		return s, false, false
	}
	if t.Slot >= 0 && int(t.Slot) < MaxProbes && t.Expiry != 0 && s.Probes[t.Slot] == t.Expiry {
		s.Probes[t.Slot] = 0
		changed = true
	}
	switch {
	case o == Neither:
		return s, changed, false
	case s.Status == Closed && o == Success:
		changed = changed || s.Failures != 0
		s.Failures = 0
		return s, changed, false
	case s.Status == Closed:
		s.Failures++
		if s.Failures < c.FailureThreshold {
			return s, true, false
		}
		s = s.to(Open, now)
		s.Wait = c.Recovery
		return s, true, true
	case s.Status == HalfOpen && o == Success:
		s.Successes++
		if s.Successes < c.SuccessThreshold {
			return s, true, false
		}
		return s.to(Closed, now), true, true
	case s.Status == HalfOpen:
		wait := min(max(2*s.Wait, c.Recovery), c.MaxRecovery)
		s = s.to(Open, now)
		s.Wait = wait
		return s, true, true
	}
	return s, changed, false
}

// to starts a new generation in the given status, with nothing counted and no place taken.
func (s State) to(status Status, now int64) State {
	next := State{Status: status, Generation: s.Generation + 1, Opens: s.Opens, Since: now, Wait: s.Wait}
	if status == Open {
		next.Opens++
	}
	return next
}

package breaker

import "time"

// MaxProbes is the largest number of places for half-open probes that a State holds.
const MaxProbes = 32

// skew is how far ahead of a reading of the clock a stored time may be. A worker reads the clock once, before its
// turn to store; one that had to wait for its turn finds times that are later than its own. A time that is further ahead
// is not of this clock (a torn record, a machine that was suspended) and must not hold anything up.
const skew = time.Second

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
	FailureRate      *Rate         // a share of failures that opens it; nil: none
	SlowCalls        *Slow         // a share of slow calls that opens it; nil: none, and no call is slow
	SuccessThreshold uint32        // consecutive successes, half-open, that close it, at least 1
	Probes           int           // half-open requests at a time, 1 to MaxProbes
	Recovery         time.Duration // the first wait while open
	MaxRecovery      time.Duration // the longest wait while open, at least Recovery
	ProbeTimeout     time.Duration // after it a probe that never ended gives its place back
}

// Rate is a share of the calls of a time window.
type Rate struct {
	Threshold float64       // the share that opens the breaker, above 0 and at most 1
	Window    time.Duration // each call counts for at least this long, and less than a tenth longer
	MinCalls  uint32        // with fewer calls in the window there is no share, at least 1
}

// Slow is the rate of slow calls.
type Slow struct {
	SlowerThan time.Duration // a call that takes longer is slow
	Rate
}

// State is one breaker. The zero State is a fresh one, closed. Times are nanoseconds of a monotonic clock.
type State struct {
	Status     Status
	Generation uint32 // counts transitions, and what an operator did
	Failures   uint32 // consecutive, while closed
	Successes  uint32 // consecutive, while half-open
	Opens      uint32 // how often it opened
	Since      int64  // when it took this status; 0 while it never changed
	Cause      Cause  // why it did
	Wait       time.Duration
	Probes     [MaxProbes]int64 // when each place's holder loses it; 0 is a free place
	// What the rates count, while closed. Each is fresh where the policy has no such rate.
	Failed, Slow Window
	Forced       Forced // by an operator, until it is taken back
}

// Forced is what an operator wants of a breaker, whatever it counts.
type Forced uint8

// What an operator may want.
const (
	NotForced    Forced = 0
	ForcedOpen   Forced = 1
	ForcedClosed Forced = 2
)

// Ticket is what an admitted request keeps until its outcome is known. It has one owner and is settled once.
type Ticket struct {
	Generation uint32
	Slot       int8  // the probe's place, -1 for a request that is no probe
	Expiry     int64 // of the place: tells this probe's place from the next one's
}

// RetryAfter tells when an open breaker lets the next probe run; 0 where it is not open, or was forced to be.
func RetryAfter(s *State, c *Config, now int64) time.Duration {
	if s.Status != Open || s.Forced == ForcedOpen {
		return 0
	}
	return max(s.left(c, now), 0)
}

// left is how much of the wait remains. A Since that is not of this clock ends the wait, rather than that it lasts
// for ever.
func (s *State) left(c *Config, now int64) time.Duration {
	passed := time.Duration(now - s.Since)
	if passed < -skew {
		return 0
	}
	return min(s.Wait, c.MaxRecovery) - max(passed, 0)
}

// to starts a new generation in the given status, with nothing counted and no place taken.
func (s *State) to(status Status, cause Cause, now int64) {
	*s = State{
		Status: status, Generation: s.Generation + 1, Opens: s.Opens, Since: now, Cause: cause, Wait: s.Wait, Forced: s.Forced,
	}
	if status == Open {
		s.Opens++
	}
}

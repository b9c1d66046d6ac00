package breaker

import "time"

// MaxProbes is the largest number of probe slots of a State.
const MaxProbes = 32

// skew is how far ahead of a worker's reading of the clock a stored time may be. A worker reads the clock once, before
// it loads the state; by then others may have stored later times. A time that is further ahead is not of this clock (a
// torn record, a machine that was suspended) and must not delay anything.
const skew = time.Second

// Status is the state of a breaker. The numbers are those of the metric weir_breaker_state.
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

// Config is what the policy says of a breaker.
type Config struct {
	FailureThreshold uint32        // consecutive failures that open it, at least 1
	FailureRate      *Rate         // the share of failures that opens it; nil: not used
	SlowCalls        *Slow         // the share of slow calls that opens it; nil: not used, no call is slow
	SuccessThreshold uint32        // consecutive successes, half-open, that close it, at least 1
	Probes           int           // half-open requests at a time, 1 to MaxProbes
	Recovery         time.Duration // the first wait while open
	MaxRecovery      time.Duration // the longest wait while open, at least Recovery
	ProbeTimeout     time.Duration // after it a probe that has not ended loses its slot
}

// Rate is a share of the calls of a time window.
type Rate struct {
	Threshold float64       // the share that opens the breaker, above 0 and at most 1
	Window    time.Duration // each call counts for at least this long, and less than a tenth longer
	MinCalls  uint32        // with fewer calls in the window the share is not looked at, at least 1
}

// Slow is the rate of slow calls.
type Slow struct {
	SlowerThan time.Duration // a call that takes longer is slow
	Rate
}

// State is one breaker. The zero State is a fresh one, closed. Times are nanoseconds of a monotonic clock.
type State struct {
	Status     Status
	Generation uint32           // counts transitions and operator actions
	Failures   uint32           // consecutive, while closed
	Successes  uint32           // consecutive, while half-open
	Opens      uint32           // how often it opened
	Since      int64            // when it got this status; 0 if it never changed
	Cause      Cause            // of the last transition
	Wait       time.Duration    // while open, until the next probe
	Probes     [MaxProbes]int64 // expiry of each probe slot; 0: free
	// What the rates count, while closed. All windows are fresh if no policy has such a rate.
	Failed, Slow Windows
	Forced       Forced // by an operator, until it is undone
}

// Forced is an operator's override of the status.
type Forced uint8

// The overrides.
const (
	NotForced    Forced = 0
	ForcedOpen   Forced = 1
	ForcedClosed Forced = 2
)

// Ticket is what an admitted request keeps until its outcome is known. It is settled once.
type Ticket struct {
	Generation uint32
	Slot       int8  // of the probe, -1 for a request that is not a probe
	Expiry     int64 // of the slot: distinguishes this probe from the next in the same slot
	Accepted   bool  // a success of it is settled, and it goes on: a failure may follow
}

// RetryAfter is the time until an open breaker admits the next probe; 0 if it is not open, or is forced open.
func RetryAfter(s *State, c *Config, now int64) time.Duration {
	if s.Status != Open || s.Forced == ForcedOpen {
		return 0
	}
	return max(s.remainingWait(c, now), 0)
}

// remainingWait is how much of the wait remains. A Since that is not of this clock ends the wait; it could last for
// ever otherwise.
func (s *State) remainingWait(c *Config, now int64) time.Duration {
	passed := time.Duration(now - s.Since)
	if passed < -skew {
		return 0
	}
	return min(s.Wait, c.MaxRecovery) - max(passed, 0)
}

// transition starts a new generation in the given status, with nothing counted and all slots free.
func (s *State) transition(status Status, cause Cause, now int64) {
	*s = State{
		Status: status, Generation: s.Generation + 1, Opens: s.Opens, Since: now, Cause: cause, Wait: s.Wait, Forced: s.Forced,
	}
	if status == Open {
		s.Opens++
	}
}

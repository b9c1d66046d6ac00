package breaker

// Cause is why a breaker changed its status. The numbers are part of the packed state.
type Cause uint8

// The causes of a transition. If several apply at once, the first of them is named.
const (
	NoTransition        Cause = iota // no transition
	ConsecutiveFailures              // closed -> open
	FailureRate                      // closed -> open
	SlowCalls                        // closed -> open
	FailedProbe                      // half-open -> open
	SlowProbe                        // half-open -> open
	RecoveryTimeout                  // open -> half-open: the wait is over
	ProbesSucceeded                  // half-open -> closed
	Operator                         // any -> any: forced, or reset

	lastCause = Operator
)

// Known reports whether the number is that of a cause.
func (c Cause) Known() bool { return c <= lastCause }

// String names the cause as logs and metrics do.
func (c Cause) String() string {
	switch c {
	case ConsecutiveFailures:
		return "consecutive_failures"
	case FailureRate:
		return "failure_rate"
	case SlowCalls:
		return "slow_calls"
	case FailedProbe:
		return "failed_probe"
	case SlowProbe:
		return "slow_probe"
	case RecoveryTimeout:
		return "recovery_timeout"
	case ProbesSucceeded:
		return "probes_succeeded"
	case Operator:
		return "operator"
	default:
		return "none"
	}
}

// Cause is the cause of the transition that Enter makes.
func (v *Verdict) Cause() Cause {
	if v.HalfOpened {
		return RecoveryTimeout
	}
	return NoTransition
}

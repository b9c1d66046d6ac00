package breaker

// Cause is why a breaker changed its status. The numbers are packed in the workers' record.
type Cause uint8

// The causes of a transition. Where several hold at once, it is the first of them.
const (
	Unmoved             Cause = iota // no transition
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

// Known tells a cause from a number that is none.
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

// Cause is the cause of the transition that this request makes.
func (v *Verdict) Cause() Cause {
	if v.HalfOpened {
		return RecoveryTimeout
	}
	return Unmoved
}

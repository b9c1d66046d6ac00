package status

import "github.com/weir-mesh/weir/policy/breaker"

// by says what made a breaker what it is, empty where that is not known. The thresholds are those of the policy that is
// in force, which may be younger than the change.
func (b *Breaker) by() string {
	switch b.Cause {
	case breaker.ConsecutiveFailures.String():
		if b.FailureThreshold == 1 {
			return "a failure"
		}
		return number(b.FailureThreshold) + " failures in a row"
	case breaker.FailureRate.String():
		return share("failure rate", b.FailureRate)
	case breaker.SlowCalls.String():
		return share("share of slow calls", b.SlowCalls)
	case breaker.FailedProbe.String():
		return "a failed probe"
	case breaker.SlowProbe.String():
		return "a slow probe"
	case breaker.RecoveryTimeout.String():
		return "the end of its wait"
	case breaker.ProbesSucceeded.String():
		return "successful probes"
	case breaker.Operator.String():
		return "an operator"
	}
	return ""
}

func share(of string, threshold *float64) string {
	if threshold == nil {
		return "its " + of
	}
	return "a " + of + " of " + percent(*threshold) + " or more"
}

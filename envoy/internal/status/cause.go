package status

import (
	"github.com/weir-mesh/weir/filter/adminapi"
	"github.com/weir-mesh/weir/policy/breaker"
)

// causeOf is the cause of a breaker's last change in words, empty where it is not known. The thresholds are those of
// the policy in force, which may be newer than the change.
func causeOf(b *adminapi.Breaker) string {
	if b.Cause == nil {
		return ""
	}
	switch *b.Cause {
	case breaker.ConsecutiveFailures.String():
		if b.FailureThreshold == 1 {
			return "a failure"
		}
		return number(b.FailureThreshold) + " failures in a row"
	case breaker.FailureRate.String():
		return rateCause("failure rate", b.FailureRateThreshold)
	case breaker.SlowCalls.String():
		return rateCause("share of slow calls", b.SlowCallsThreshold)
	case breaker.FailedProbe.String():
		return "a failed probe"
	case breaker.SlowProbe.String():
		return "a slow probe"
	case breaker.RecoveryTimeout.String():
		return "the end of its recovery timeout"
	case breaker.ProbesSucceeded.String():
		return "successful probes"
	case breaker.Operator.String():
		return "an operator"
	}
	return ""
}

func rateCause(rate string, threshold *float64) string {
	if threshold == nil {
		return "its " + rate
	}
	return "a " + rate + " of " + percent(*threshold) + " or more"
}

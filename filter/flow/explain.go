package flow

import (
	"strconv"
	"time"

	"github.com/weir-mesh/weir/policy/fallback"
)

// explain says why a request was decided about so, for the log at debug.
func (x *Exchange) explain(reason fallback.Reason, wait time.Duration) string {
	plan := x.plan
	b := make([]byte, 0, 128)
	if plan.shadow && reason != fallback.None {
		b = append(b, ShadowPrefix...)
	}
	b = append(b, reason.String()...)
	switch reason {
	case fallback.None:
	case fallback.CircuitOpen:
		s := &plan.record.Breaker
		b = append(b, ": the circuit breaker is "...)
		b = append(b, s.Status.String()...)
	case fallback.BulkheadFull:
		b = append(b, ": of the places none is left of "...)
		b = strconv.AppendUint(b, uint64(plan.bulkhead.Max), 10)
	case fallback.RateLimited:
		b = append(b, ": of the limit nothing is left of "...)
		b = append(b, plan.answers.quota...)
	}
	if wait > 0 {
		b = append(b, ", again in "...)
		b = append(b, wait.Round(time.Millisecond).String()...)
	}
	if x.limit.Admitted {
		b = append(b, "; left of the limit: "...)
		b = strconv.AppendInt(b, x.limit.Remaining, 10)
	}
	if rt := plan.retries; rt != nil && reason == fallback.None && !rt.replays {
		b = append(b, "; retries granted: "...)
		b = strconv.AppendInt(b, int64(x.retry.reserved.Granted), 10)
	}
	return string(b)
}

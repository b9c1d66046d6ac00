package request

import (
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
)

// Decision is what was decided about a request, for Envoy's access log.
type Decision struct {
	Reason     fallback.Reason // fallback.None: it was admitted
	Shadow     bool            // it is not enforced
	HasKey     bool
	Key        uint64 // the hash that operators see
	HasLimit   bool
	Remaining  int64 // requests that the limit still admits
	HasBreaker bool
	Breaker    breaker.Status
}

// Decision is what was decided. Ok is false where nothing is yet, or no policy does.
func (r *Request) Decision() (d Decision, ok bool) {
	c := r.cluster
	if !r.decided {
		return d, false
	}
	_, record := c.breakerRecord()
	d = Decision{Reason: r.decision, Shadow: c.shadow, HasKey: c.showsKeys(), HasBreaker: c.breaker != nil, Breaker: record.Breaker.Status}
	if d.HasKey {
		d.Key = c.hashOfKey(r.in.Key)
	}
	verdict := &r.attempt.Limits[0].Verdict
	d.HasLimit = c.limiter != nil && (verdict.Admitted || r.decision == fallback.RateLimited)
	d.Remaining = verdict.Remaining
	return d, true
}

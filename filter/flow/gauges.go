package flow

import (
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// Gauges show how a cluster stands. All workers share each.
type Gauges interface {
	// Breaker shows where the breaker stands.
	Breaker(s breaker.Status)
	// InFlight shows how many requests run.
	InFlight(n uint32)
	// Limit shows the limit that holds, in requests a minute.
	Limit(perMinute float64)
	// SuccessRatio shows the share of successes by which an adaptive limit moves, 0 to 1.
	SuccessRatio(ratio float64)
	// NoHealthyHost shows whether Envoy had no healthy host to send a request to.
	NoHealthyHost(none bool)
	// HasNoHealthyHost reads what NoHealthyHost shows: this worker's word or another one's, whichever was the last.
	HasNoHealthyHost() bool
}

// show brings a cluster's gauges up to date, by its record as it was just loaded. It rests where they will be the same until
// the record changes: neither requests in flight whose worker may be gone, nor a limit that moves by itself.
func show(r *registry.View, g Gauges, p *Plan, told *registry.RedisView, now int64) (rests bool) {
	rests = true
	if r.Policy.CircuitBreaker != nil {
		g.Breaker(p.record.Breaker.Status)
	}
	if r.Policy.Bulkhead != nil {
		n := r.InFlight(&p.record, now)
		g.InFlight(n)
		rests = n == 0
	}
	if r.Policy.RateLimit != nil {
		limit := r.Limit(&p.record, told, now)
		g.Limit(limit.PerMinute)
		if limit.SuccessRatioKnown {
			g.SuccessRatio(limit.SuccessRatio)
		}
		l := r.Policy.RateLimit
		rests = rests && l.Scope != policy.ScopeMesh && l.Algorithm != policy.Adaptive
	}
	p.hosts.look()
	return rests
}

// hosts is what a plan knows of its cluster's hosts: Envoy tells the filter nothing about their health until a request
// finds none.
type hosts struct {
	gauges Gauges // nil: nobody looks
	none   bool   // as shown; another worker's word comes with the next beat
}

// look reads another worker's word.
func (h *hosts) look() { h.none = h.gauges.HasNoHealthyHost() }

// heard takes what came of a request, and shows it where it is something new.
func (h *hosts) heard(e event, details string) {
	none := e == eventConnectFailure && details == detailsNoHost
	if none == h.none || (!none && e != eventAnswer) || h.gauges == nil {
		return
	}
	h.none = none
	h.gauges.NoHealthyHost(none)
}

// detailsNoHost is Envoy's response code details where a cluster has no healthy host.
const detailsNoHost = "no_healthy_upstream"

package main

import (
	"math"
	"strings"

	"github.com/weir-mesh/weir/filter/flow"
	"github.com/weir-mesh/weir/filter/host"
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/sharedstate/directory"
)

// gauges show how a cluster stands.
type gauges struct {
	breaker, inFlight, limit, success, noHost host.Gauge
}

// newGauges finds those of a cluster that its policy has something to show in.
func newGauges(cluster string, rules *policy.Policy, f *faults) flow.Gauges {
	g := &gauges{
		breaker: f.gauge(metric.Of("weir_breaker_state", cluster)),
		noHost:  f.gauge(metric.Of("weir_no_healthy_host", cluster)),
	}
	if rules.CircuitBreaker == nil { // a policy before this one may have had one, which stood open
		g.Breaker(breaker.Closed)
	}
	if rules.Bulkhead != nil {
		g.inFlight = f.gauge(metric.Of("weir_in_flight", cluster))
	}
	if l := rules.RateLimit; l != nil {
		g.limit = f.gauge(metric.Of("weir_rate_limit_current", cluster))
		if l.Algorithm == policy.Adaptive {
			g.success = f.gauge(metric.Of("weir_success_ratio", cluster))
		}
	}
	return g
}

// Breaker implements flow.Gauges.
func (g *gauges) Breaker(s breaker.Status) { g.breaker.Set(uint64(s)) }

// InFlight implements flow.Gauges.
func (g *gauges) InFlight(n uint32) { g.inFlight.Set(uint64(n)) }

// Limit implements flow.Gauges.
func (g *gauges) Limit(perMinute float64) { g.limit.Set(uint64(math.Round(perMinute))) }

// SuccessRatio implements flow.Gauges. Envoy's gauges are whole numbers: 10000 is all.
func (g *gauges) SuccessRatio(ratio float64) { g.success.Set(uint64(math.Round(ratio * 10000))) }

// NoHealthyHost implements flow.Gauges.
func (g *gauges) NoHealthyHost(none bool) {
	shown := uint64(0)
	if none {
		shown = 1
	}
	g.noHost.Set(shown)
}

// HasNoHealthyHost implements flow.Gauges.
func (g *gauges) HasNoHealthyHost() bool {
	shown, err := g.noHost.Value()
	return err == nil && shown != 0
}

// publish begins to tell of the plugin's document, before its first request.
func (p *plugin) publish(raw []byte) error {
	p.published = flow.NewPublication(p.worker, raw, p.document, p.mesh)
	for _, c := range p.document.Clusters {
		// An operator's reset of a limit that all proxies share is carried on to Redis by who has a plan of it.
		if l := c.Policy.RateLimit; l != nil && l.Scope == policy.ScopeMesh && !strings.Contains(c.Pattern, "*") {
			p.plan([]byte(c.Pattern))
		}
	}
	return p.beatOnce(host.Now())
}

// tell publishes, once a second.
func (p *plugin) tell(now int64) {
	if err := p.beatOnce(now); err != nil {
		p.faults.note(err.Error())
	}
}

func (p *plugin) beatOnce(now int64) error {
	gone, err := p.published.Beat(now)
	for i := range gone {
		p.retire(&gone[i])
	}
	return err
}

// retire makes the gauges of a cluster that no policy has any more say so, or an alert on one would never end.
func (p *plugin) retire(e *directory.Entry) {
	names := []string{"weir_no_healthy_host"}
	if e.Policy.CircuitBreaker != nil {
		names = append(names, "weir_breaker_state")
	}
	if e.Policy.Bulkhead != nil {
		names = append(names, "weir_in_flight")
	}
	for _, name := range names {
		gauge := p.faults.gauge(metric.Of(name, e.Cluster))
		gauge.Set(0)
	}
}

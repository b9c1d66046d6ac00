package observe

import (
	"math"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/publish"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// Gauges show a cluster's state. They implement publish.Gauges.
type Gauges struct {
	breaker, inFlight, limit, noHost host.Gauge

	// The success ratio's gauge is defined when there is a ratio to show: Envoy's new gauges show 0, which would mean
	// that all requests fail. Until then a dashboard has no line.
	success       host.Gauge
	defineSuccess func() host.Gauge // nil: it is defined
}

// What weir_mode shows. Off is also shown for a cluster that no policy has any more.
const (
	modeOff     = 0
	modeShadow  = 1
	modeEnforce = 2
)

// successAll is a success ratio of 1: Envoy's gauges are whole numbers.
const successAll = 10000

// ShowMode shows a cluster's mode: whether the decisions in its other metrics are enforced.
func (m *Metrics) ShowMode(cluster string, mode policy.Mode) {
	gauge := m.Gauge(metric.Mode.With(cluster))
	gauge.Set([...]uint64{policy.ModeEnforce: modeEnforce, policy.ModeShadow: modeShadow, policy.ModeOff: modeOff}[mode])
}

// ShowFlag shows 1 for true and 0 for false.
func (m *Metrics) ShowFlag(name string, is bool) {
	gauge, value := m.Gauge(name), uint64(0)
	if is {
		value = 1
	}
	gauge.Set(value)
}

// ShowRefused shows when the last policy was refused, in milliseconds since 1970 as Envoy's own update_time; 0: another
// policy started since.
func (m *Metrics) ShowRefused(at int64) {
	gauge := m.Gauge(metric.PolicyRefusedAt.With())
	gauge.Set(uint64(at))
}

// ShowUnmatched shows how many patterns of the policy match no cluster that a request went to.
func (m *Metrics) ShowUnmatched(patterns int) {
	gauge := m.Gauge(metric.PolicyUnmatchedPatterns.With())
	gauge.Set(uint64(patterns))
}

// ShowPolicy shows which policy came into force last, and when, in milliseconds since 1970. It is a number and no label: Envoy keeps
// each label's value for good.
func (m *Metrics) ShowPolicy(version uint32, at int64) {
	which, since := m.Gauge(metric.PolicyVersion.With()), m.Gauge(metric.PolicyTime.With())
	which.Set(uint64(version))
	since.Set(uint64(at))
}

// NoBreaker shows a breaker as closed that no policy has any more: an earlier one's may have been open.
func (m *Metrics) NoBreaker(name string) {
	if gauge, shown := m.ShownGauge(metric.BreakerState.With(name)); shown {
		gauge.Set(uint64(breaker.Closed))
	}
}

// NewGauges defines the gauges of the sections that a cluster's policy has.
func (m *Metrics) NewGauges(c *request.Cluster, breakerOf string, rules *policy.Policy) publish.Gauges {
	cluster := c.Name()
	g := &Gauges{
		breaker: m.Gauge(metric.BreakerState.With(breakerOf)),
		noHost:  m.Gauge(metric.NoHealthyHost.With(c.Upstream())),
	}
	m.ShowMode(cluster, rules.Mode)
	if rules.Bulkhead != nil {
		g.inFlight = m.Gauge(metric.InFlight.With(cluster))
	}
	l := rules.RateLimit
	limit, limited := m.ShownGauge(metric.RateLimitCurrent.With(cluster))
	if l != nil {
		limit, limited = m.Gauge(metric.RateLimitCurrent.With(cluster)), true
		g.limit = limit
	}
	if limited {
		m.ShowFlag(metric.RateLimitKeyed.With(cluster), l != nil && l.Key != nil)
		m.ShowFlag(metric.RateLimitMesh.With(cluster), l != nil && l.Scope == policy.ScopeMesh)
	}
	if limited && l == nil {
		limit.Set(0) // an earlier policy had a limit, to which an alert would compare the requests
	}
	if l != nil && l.Algorithm == policy.Adaptive {
		g.defineSuccess = func() host.Gauge { return m.Gauge(metric.SuccessRatio.With(cluster)) }
	} else if gauge, shown := m.ShownGauge(metric.SuccessRatio.With(cluster)); shown {
		gauge.Set(successAll) // an earlier policy's limit was adaptive; Envoy can't remove a gauge
	}
	return g
}

// Breaker implements publish.Gauges.
func (g *Gauges) Breaker(s breaker.Status) { g.breaker.Set(uint64(s)) }

// InFlight implements publish.Gauges.
func (g *Gauges) InFlight(n uint32) { g.inFlight.Set(uint64(n)) }

// Limit implements publish.Gauges.
func (g *Gauges) Limit(perMinute float64) { g.limit.Set(uint64(math.Round(perMinute))) }

// SuccessRatio implements publish.Gauges.
func (g *Gauges) SuccessRatio(ratio float64) {
	if g.defineSuccess != nil {
		g.success, g.defineSuccess = g.defineSuccess(), nil
	}
	g.success.Set(uint64(math.Round(ratio * successAll)))
}

// NoHealthyHost implements request.HostGauge.
func (g *Gauges) NoHealthyHost(none bool) {
	shown := uint64(0)
	if none {
		shown = 1
	}
	g.noHost.Set(shown)
}

// HasNoHealthyHost implements request.HostGauge.
func (g *Gauges) HasNoHealthyHost() bool {
	shown, err := g.noHost.Value()
	return err == nil && shown != 0
}

// Retire sets the gauges of a cluster that no policy has any more to their idle values, or an alert would never end. Used says that
// its upstream cluster still has another policy, breaks that one of those has its breaker.
func (m *Metrics) Retire(e *registry.Entry, used, breaks bool) {
	m.ShowMode(e.Cluster, policy.ModeOff)
	show := func(which *metric.Metric, value uint64) {
		gauge := m.Gauge(which.With(e.Cluster))
		gauge.Set(value)
	}
	if !used {
		noHost := m.Gauge(metric.NoHealthyHost.With(e.Upstream()))
		noHost.Set(0)
	}
	if !breaks && e.Policy.CircuitBreaker != nil {
		state := m.Gauge(metric.BreakerState.With(e.BreakerOf()))
		state.Set(uint64(breaker.Closed))
	}
	if e.Policy.Bulkhead != nil {
		show(&metric.InFlight, 0)
	}
	if l := e.Policy.RateLimit; l != nil && l.Algorithm == policy.Adaptive {
		show(&metric.SuccessRatio, successAll)
	}
}

package main

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/weir-mesh/weir/filter/flow"
	"github.com/weir-mesh/weir/filter/host"
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// gauges show how a cluster stands.
type gauges struct {
	breaker, inFlight, limit, noHost host.Gauge

	// The success ratio's is made when there is one to show: a new gauge of Envoy's shows 0, which says that all fail. Until then
	// a dashboard has no line, rather than one of which nobody knows that it is made up.
	success     host.Gauge
	makeSuccess func() host.Gauge // nil: it is made
}

// What weir_mode shows. Off is also said of a cluster that no policy has any more.
const (
	showsOff     = 0
	showsShadow  = 1
	showsEnforce = 2
)

// modeGauge shows whether what a cluster's other metrics tell is done or only decided.
func modeGauge(cluster string, mode policy.Mode, f *faults) {
	gauge := f.gauge(metric.Mode.With(cluster))
	gauge.Set([...]uint64{policy.ModeEnforce: showsEnforce, policy.ModeShadow: showsShadow, policy.ModeOff: showsOff}[mode])
}

// newGauges finds those of a cluster that its policy has something to show in.
func newGauges(cluster string, rules *policy.Policy, f *faults) flow.Gauges {
	g := &gauges{
		breaker: f.gauge(metric.BreakerState.With(cluster)),
		noHost:  f.gauge(metric.NoHealthyHost.With(cluster)),
	}
	modeGauge(cluster, rules.Mode, f)
	if rules.RateLimit == nil || rules.RateLimit.Algorithm != policy.Adaptive { // or learned a success ratio
		f.unlearn(cluster)
	}
	if rules.CircuitBreaker == nil { // a policy before this one may have had one, which stood open
		g.Breaker(breaker.Closed)
	}
	if rules.Bulkhead != nil {
		g.inFlight = f.gauge(metric.InFlight.With(cluster))
	}
	if l := rules.RateLimit; l != nil {
		g.limit = f.gauge(metric.RateLimitCurrent.With(cluster))
		if l.Algorithm == policy.Adaptive {
			g.makeSuccess = func() host.Gauge { return f.gauge(metric.SuccessRatio.With(cluster)) }
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

// allSucceed is a success ratio of 1: Envoy's gauges are whole numbers.
const allSucceed = 10000

// SuccessRatio implements flow.Gauges.
func (g *gauges) SuccessRatio(ratio float64) {
	if g.makeSuccess != nil {
		g.success, g.makeSuccess = g.makeSuccess(), nil
	}
	g.success.Set(uint64(math.Round(ratio * allSucceed)))
}

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
		if !strings.Contains(c.Pattern, "*") { // the clusters of a pattern show theirs when they are used
			modeGauge(c.Pattern, c.Policy.Mode, p.faults)
		}
		// An operator's reset of a limit that all proxies share is carried on to Redis by who has a plan of it.
		if l := c.Policy.RateLimit; l != nil && l.Scope == policy.ScopeMesh && !strings.Contains(c.Pattern, "*") {
			p.plan([]byte(c.Pattern))
		}
	}
	p.inherited = slices.Collect(maps.Keys(p.vm.used))
	return p.beatOnce(host.Now())
}

// remember keeps in mind that a cluster is used, whatever becomes of the plugin. It is bounded as plans are.
func (v *vm) remember(cluster string) {
	if v.used == nil || len(v.used) >= maxPlans {
		v.used = map[string]struct{}{}
	}
	v.used[cluster] = struct{}{}
}

// inherit makes plans of what the plugin before this one used, or a gauge would show for ever what that one saw last. A plan
// takes some 20 us to make: a few with each beat are in nobody's way.
func (p *plugin) inherit() {
	const atOnce = 32
	n := min(atOnce, len(p.inherited))
	for _, cluster := range p.inherited[:n] {
		p.plan([]byte(cluster))
	}
	p.inherited = p.inherited[n:]
}

// tell publishes, once a second.
func (p *plugin) tell(now int64) {
	p.inherit()
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
func (p *plugin) retire(e *registry.Entry) {
	modeGauge(e.Cluster, policy.ModeOff, p.faults)
	shown := []*metric.Metric{&metric.NoHealthyHost}
	if e.Policy.CircuitBreaker != nil {
		shown = append(shown, &metric.BreakerState)
	}
	if e.Policy.Bulkhead != nil {
		shown = append(shown, &metric.InFlight)
	}
	for _, m := range shown {
		gauge := p.faults.gauge(m.With(e.Cluster))
		gauge.Set(0)
	}
	if l := e.Policy.RateLimit; l != nil && l.Algorithm == policy.Adaptive {
		gauge := p.faults.gauge(metric.SuccessRatio.With(e.Cluster))
		gauge.Set(allSucceed)
	}
}

// unlearn makes the success ratio that this VM showed of a cluster, whose limit is not adaptive any more, say that all is well.
// Envoy can't take a gauge away.
func (f *faults) unlearn(cluster string) {
	if gauge, shown := f.defined.gauges[metric.SuccessRatio.With(cluster)]; shown {
		gauge.Set(allSucceed)
	}
}

package observe

import (
	"strconv"
	"time"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/replay"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// Plugin is what the observers of one plugin's clusters share.
type Plugin struct {
	Store   sharedstate.Store
	Metrics *Metrics
	Faults  *Faults
	Debug   bool                  // whether the host logged at debug at the last heartbeat
	Count   func(*BatchedCounter) // counts one more, in batches
	Refused *RefusedKeys          // the VM's

	missing   map[string]*missing   // by cluster
	misroutes map[string]*misroutes // by the cluster that decided and the one that the request went to
}

// Cluster is one cluster's metrics and log lines. It implements request.Observer.
type Cluster struct {
	plugin      *Plugin
	name        string
	breaker     string                                   // whose breaker it is: upstream's, or name
	decisions   [fallback.UpstreamFailure]BatchedCounter // by reason; upstream_failure is not a decision
	shadowed    [fallback.UpstreamFailure]BatchedCounter // the same in shadow
	sources     [fallback.FromDegraded + 1]BatchedCounter
	failures    host.Counter // of upstream
	transitions [breaker.Open + 1]host.Counter
	state       host.Gauge
	retries     host.Counter
	exhausted   host.Counter
	failovers   map[string]host.Counter // by cluster
	notKept     *obstacles              // nil: none yet
	notUsed     *obstacles

	keys *clusterKeys // that were refused; nil: none yet

	uncarried registry.Uncarried // that this plugin has noted

	logged   throttle // of fallbacks
	unlogged int      // fallbacks since this worker last logged one
}

// NewCluster defines the metrics of a cluster with this policy. The breaker is that of the cluster that requests go to, or the
// policy's own, see registry.Entry.BreakerOf.
func (p *Plugin) NewCluster(name, breakerOf string, rules *policy.Policy) request.Observer {
	c, m := &Cluster{plugin: p, name: name, breaker: breakerOf}, p.Metrics
	for reason := range c.decisions {
		c.decisions[reason].counter = m.Counter(metric.RequestsTotal.With(name, fallback.Reason(reason).String()))
	}
	if rules.Mode == policy.ModeShadow {
		for reason := range c.shadowed {
			decision := header.ShadowPrefix + fallback.Reason(reason).String()
			c.shadowed[reason].counter = m.Counter(metric.RequestsTotal.With(name, decision))
		}
	}
	for source := range c.sources {
		c.sources[source].counter = m.Counter(metric.ResponsesTotal.With(name, fallback.Source(source).String()))
	}
	c.failures = m.Counter(metric.UpstreamFailuresTotal.With(name))
	for status := range c.transitions {
		c.transitions[status] = m.Counter(metric.BreakerTransitionsTotal.With(breakerOf, breaker.Status(status).String()))
	}
	c.state = m.Gauge(metric.BreakerState.With(breakerOf))
	if rules.Retry != nil {
		c.retries = m.Counter(metric.RetriesTotal.With(name))
		c.exhausted = m.Counter(metric.RetriesExhaustedTotal.With(name))
	}
	if rules.Failover != nil {
		c.failovers = map[string]host.Counter{}
		for _, to := range rules.Failover.To {
			c.failovers[to] = m.Counter(metric.FailoversTotal.With(name, to))
		}
	}
	return c
}

// line is a log line about the cluster.
func (c *Cluster) line(text string) string { return "weir: " + c.name + ": " + text }

// Decided implements request.Observer.
func (c *Cluster) Decided(reason fallback.Reason, shadow bool) {
	if shadow {
		c.plugin.Count(&c.shadowed[reason])
	} else {
		c.plugin.Count(&c.decisions[reason])
	}
}

// Responded implements request.Observer. Fallbacks are logged once a second at most for each cluster, whatever the
// number of workers.
func (c *Cluster) Responded(source fallback.Source, reason fallback.Reason) {
	c.plugin.Count(&c.sources[source])
	if reason == fallback.None { // upstream answered well
		return
	}
	if reason == fallback.UpstreamFailure {
		c.failures.Add(1)
	}
	if source == fallback.FromUpstream || source == fallback.FromError {
		return
	}
	c.unlogged++
	now := host.Now()
	if !c.logged.allow(now) || !allowForAll(c.plugin.Store, "fallback/"+c.name, now) {
		return
	}
	host.Warn(c.line("answered from " + source.String() + " (" + reason.String() + "), " +
		strconv.Itoa(c.unlogged) + " fallback answers of this worker since its last such line"))
	c.unlogged = 0
}

// Explains implements request.Observer.
func (c *Cluster) Explains() bool { return c.plugin.Debug }

// Explain implements request.Observer.
func (c *Cluster) Explain(text string) { host.Debug(c.line(text)) }

// Transition implements request.Observer.
func (c *Cluster) Transition(from, to breaker.Status, cause string) {
	c.transitions[to].Add(1)
	c.state.Set(uint64(to))
	p := c.plugin
	p.Faults.changed(p.Store, registry.Change{From: from, To: to, Cluster: c.breaker, Cause: cause})
}

// changed logs a transition of now, and shows it to operators.
func (f *Faults) changed(store sharedstate.Store, c registry.Change) {
	host.Info("weir: " + c.Cluster + ": circuit breaker " + c.From.String() + " -> " + c.To.String() + " (" + c.Cause + ")")
	c.At = host.Now()
	if err := c.Publish(store); err != nil {
		f.Log("the status can't show a transition: " + err.Error())
	}
}

// Retried implements request.Observer.
func (c *Cluster) Retried(r request.Retry) {
	c.retries.Add(1)
	if !c.plugin.Debug {
		return
	}
	text := "retry " + strconv.Itoa(r.Number) + " of " + strconv.Itoa(r.Of)
	if r.ByRouter {
		text += ", by the router, with the delays of the route's retry_back_off"
	} else {
		text += " after " + r.Delay.String() + " to " + r.Cluster + " (" + r.Cause + ")"
	}
	host.Debug(c.line(text))
}

// Exhausted implements request.Observer.
func (c *Cluster) Exhausted() { c.exhausted.Add(1) }

// uncarriedLogInterval is the shortest time between two log lines about a cluster's attempts that were not carried for one
// reason: mostly it is a property of what the cluster serves, and the metric counts them.
const uncarriedLogInterval = 10 * time.Minute

// Uncarried implements request.Observer.
func (c *Cluster) Uncarried(why replay.Reason) {
	counter := c.plugin.Metrics.Counter(metric.AttemptsUncarriedTotal.With(c.name, why.Label()))
	counter.Add(1)
	if bit := registry.Uncarried(1) << why; c.uncarried&bit == 0 { // the first of its kind in this plugin
		c.uncarried |= bit
		if err := registry.NoteUncarried(c.plugin.Store, c.name, bit); err != nil {
			c.Fault(err)
		}
	}
	if sharedstate.AllowLog(c.plugin.Store, "uncarried/"+why.Label()+"/"+c.name, uncarriedLogInterval, host.Now()) {
		host.Info(c.line("a further attempt was not made, or its response not used: " + why.String() + " (" + why.Label() +
			"); the client got an earlier response; weir_attempts_uncarried_total counts these, nobody is blamed for them; what to do: " + why.Advice()))
	}
}

// FailedOver implements request.Observer.
func (c *Cluster) FailedOver(to string) {
	counter := c.failovers[to]
	counter.Add(1)
	if c.plugin.Debug {
		host.Debug(c.line("circuit_open: the request goes to " + to))
	}
}

// Conflicts implements stage.Reporter.
func (c *Cluster) Conflicts(n int) { c.plugin.Faults.conflicts.Add(uint64(n)) }

// Fault implements stage.Reporter.
func (c *Cluster) Fault(err error) { c.plugin.Faults.Report(c.name + ": " + err.Error()) }

package observe

import (
	"time"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy/visible"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// Misroute is a request that went to another cluster than the one whose policy decided.
type Misroute struct {
	Decided  string // "" where the request had no cluster then
	Went     string
	ByClient bool // a header of the client, which Weir removed, may have chosen its route
}

// misroutes is how one worker reports those of one pair of clusters.
type misroutes struct {
	total     host.Counter
	published throttle
}

const (
	// maxMisroutes bounds the pairs of clusters that are reported, since Envoy keeps each name of a metric.
	maxMisroutes = 256
	// misrouteLogInterval is the shortest time between two log lines about the requests that one cluster decided about:
	// the cause is a configuration, and the status says so all the time.
	misrouteLogInterval = 10 * time.Minute
)

// Misrouted counts a misroute, logs it for each cluster that decided now and then, and publishes it for the status.
func (p *Plugin) Misrouted(m Misroute, now int64) {
	decided := m.Decided
	if decided == "" {
		decided = registry.NoCluster
	}
	pair := p.pair(decided, m.Went)
	if pair == nil {
		return
	}
	pair.total.Add(1)
	if !pair.published.allow(now) {
		return
	}
	if err := registry.PublishMisroute(p.Store, decided, m.Went, now); err != nil {
		p.Faults.Log(err.Error())
	}
	if sharedstate.AllowLog(p.Store, "misrouted/"+decided, misrouteLogInterval, now) {
		host.Warn("weir: " + m.text())
	}
}

// pair is how misroutes between two clusters are reported, nil where there are too many.
func (p *Plugin) pair(decided, went string) *misroutes {
	name := decided + "\x00" + went // a map by two strings would need reflection
	m := p.misroutes[name]
	if m == nil && len(p.misroutes) < maxMisroutes {
		if p.misroutes == nil {
			p.misroutes = map[string]*misroutes{}
		}
		m = &misroutes{total: p.Metrics.Counter(metric.MisroutedTotal.With(decided, went))}
		p.misroutes[name] = m
	}
	return m
}

// text is what happened, then what to do.
func (m *Misroute) text() string {
	text := "the policy of " + visible.Quote(m.Decided) + " decided about a request"
	if m.Decided == "" {
		text = "no policy decided about a request without a cluster"
	}
	text += " that went to " + visible.Quote(m.Went)
	if m.ByClient {
		return text + ": a client's header chose its route; remove x-weir-… and the headers of failover by early_header_mutation, as `weir render envoy` does"
	}
	return text + ": another filter changed its route; put a CORS filter right before Weir, and that filter before it: " +
		"`weir render envoy` shows them (resolve_route), docs/getting-started.md says why (Filters before Weir)"
}

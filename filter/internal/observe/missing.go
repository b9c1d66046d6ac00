package observe

import (
	"strings"
	"time"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy/visible"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// missing is how one worker reports the requests to one cluster whose metadata has the name of no policy.
type missing struct {
	total     host.Counter
	published throttle
}

// missingLogInterval is the shortest time between two log lines about one name: the cause is a configuration, and the status says
// so all the time.
const missingLogInterval = 10 * time.Minute

// PolicyMissing counts a request, logs the name now and then, and publishes it for the status. It keeps neither string: they may be
// the host's.
func (p *Plugin) PolicyMissing(cluster, name string, now int64) {
	m := p.missing[cluster]
	if m == nil {
		if p.missing == nil {
			p.missing = map[string]*missing{}
		}
		m = &missing{total: p.Metrics.Counter(metric.PolicyMissingTotal.With(cluster))}
		p.missing[strings.Clone(cluster)] = m
	}
	m.total.Add(1)
	if !m.published.allow(now) {
		return
	}
	if err := registry.PublishMissing(p.Store, cluster, name, now); err != nil {
		p.Faults.Log(err.Error())
	}
	if sharedstate.AllowLog(p.Store, "missing/"+name[:min(len(name), 64)], missingLogInterval, now) {
		host.Warn("weir: " + cluster + ": the metadata weir.policy of a route or of the cluster is " + visible.Quote(name[:min(len(name), 64)]) +
			", and the policy document has no such policy: the request gets the cluster's own; add it to policies, or correct the metadata")
	}
}

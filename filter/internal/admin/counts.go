package admin

import (
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// Metrics finds Envoy's metrics by the names that package metric makes. A metric that does not exist yet is defined.
type Metrics interface {
	Counter(name string) Metric
	Gauge(name string) Metric
}

// Metric is a counter or a gauge.
type Metric interface {
	Value() (uint64, error)
}

// counts are a cluster's. The order is that of registry.CountsAtReset in shared data: raise its countsVersion when the
// order changes.
type counts []uint64

// The indexes of counts. The first holds the policy's mode plus 1, not a count: counts of two modes are of different
// metrics, so one is not subtracted from the other.
const (
	countMode      = 0
	countDecision  = 1                                              // by fallback.Reason
	countSource    = countDecision + int(fallback.BulkheadFull) + 1 // by fallback.Source
	countRetries   = countSource + int(fallback.FromDegraded) + 1
	countExhausted = countRetries + 1
	countFailovers = countRetries + 2
	countAll       = countRetries + 3
)

// counters are a cluster's metrics. A count is the sum of several metrics: failovers, for example, of one for each
// target.
type counters struct {
	mode   policy.Mode
	counts [countAll][]Metric
	noHost Metric
}

func newCounters(m Metrics, e *registry.Entry) *counters {
	cluster, p := e.Cluster, &e.Policy
	c := &counters{mode: p.Mode, noHost: m.Gauge(metric.NoHealthyHost.With(cluster))}
	prefix := ""
	if p.Mode == policy.ModeShadow {
		prefix = header.ShadowPrefix
	}
	for reason := fallback.None; reason <= fallback.BulkheadFull; reason++ {
		c.add(countDecision+int(reason), m.Counter(metric.RequestsTotal.With(cluster, prefix+reason.String())))
	}
	for source := fallback.FromUpstream; source <= fallback.FromDegraded; source++ {
		c.add(countSource+int(source), m.Counter(metric.ResponsesTotal.With(cluster, source.String())))
	}
	if p.Retry != nil {
		c.add(countRetries, m.Counter(metric.RetriesTotal.With(cluster)))
		c.add(countExhausted, m.Counter(metric.RetriesExhaustedTotal.With(cluster)))
	}
	if f := p.Failover; f != nil {
		for _, to := range f.To {
			c.add(countFailovers, m.Counter(metric.FailoversTotal.With(cluster, to)))
		}
	}
	return c
}

func (c *counters) add(place int, m Metric) { c.counts[place] = append(c.counts[place], m) }

// read returns what was counted since Envoy started.
func (c *counters) read() (n counts, err error) {
	n = make(counts, countAll)
	n[countMode] = uint64(c.mode) + 1
	for i, metrics := range c.counts {
		for _, m := range metrics {
			value, err := m.Value()
			if err != nil {
				return nil, err
			}
			n[i] += value
		}
	}
	return n, nil
}

// since returns what was counted since the cluster was last reset.
func (c *counters) since(r *registry.CountsAtReset) (n counts, err error) {
	n, err = c.read()
	if err == nil && len(r.Counts) > 0 && r.Counts[countMode] == n[countMode] {
		r.SubtractFrom(n)
	}
	return n, err
}

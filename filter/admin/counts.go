package admin

import (
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// Metrics finds Envoy's metrics by the names that package metric makes. Naming one makes it, where it is new.
type Metrics interface {
	Counter(name string) Metric
	Gauge(name string) Metric
}

// Metric is one of them.
type Metric interface {
	Value() (uint64, error)
}

// What is counted of a cluster, in the order of its baseline. The first is no count: it is the policy's mode, without which
// one would be compared with another mode's.
const (
	countMode     = 0
	countDecision = 1                                              // by fallback.Reason
	countSource   = countDecision + int(fallback.BulkheadFull) + 1 // by fallback.Source
	countRetries  = countSource + int(fallback.FromDegraded) + 1
	countSpent    = countRetries + 1
	countMoved    = countRetries + 2 // by failover
	countAll      = countRetries + 3
)

// counters is a cluster's metrics: several to some counts.
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
		prefix = metric.ShadowPrefix
	}
	for reason := fallback.None; reason <= fallback.BulkheadFull; reason++ {
		c.add(countDecision+int(reason), m.Counter(metric.RequestsTotal.With(cluster, prefix+reason.String())))
	}
	for source := fallback.FromUpstream; source <= fallback.FromDegraded; source++ {
		c.add(countSource+int(source), m.Counter(metric.ResponsesTotal.With(cluster, source.String())))
	}
	if p.Retry != nil {
		c.add(countRetries, m.Counter(metric.RetriesTotal.With(cluster)))
		c.add(countSpent, m.Counter(metric.RetriesExhaustedTotal.With(cluster)))
	}
	if f := p.Failover; f != nil {
		for _, to := range f.To {
			c.add(countMoved, m.Counter(metric.FailoversTotal.With(cluster, to)))
		}
	}
	return c
}

func (c *counters) add(at int, m Metric) { c.counts[at] = append(c.counts[at], m) }

// read is all that was counted since Envoy started.
func (c *counters) read() (counts []uint64, err error) {
	counts = make([]uint64, countAll)
	counts[countMode] = uint64(c.mode) + 1
	for i, metrics := range c.counts {
		for _, m := range metrics {
			n, err := m.Value()
			if err != nil {
				return nil, err
			}
			counts[i] += n
		}
	}
	return counts, nil
}

// since is what was counted since the cluster was last reset.
func (c *counters) since(b *registry.CountsAtReset) (counts []uint64, err error) {
	counts, err = c.read()
	if err == nil && len(b.Counts) > 0 && b.Counts[countMode] == counts[countMode] {
		b.SubtractFrom(counts)
	}
	return counts, err
}

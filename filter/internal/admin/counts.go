package admin

import (
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/sharedstate"
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
	countNotKept   = countRetries + 3 // by fallback.Obstacle
	countNotUsed   = countNotKept + int(fallback.Obstacles)
	countAll       = countNotUsed + int(fallback.Obstacles)
)

// counters are a cluster's metrics. A count is the sum of several metrics: failovers, for example, of one for each
// target.
type counters struct {
	mode   policy.Mode
	counts [countNotKept][]Metric
	noHost Metric

	obstacles map[int]Metric // of the cache, by place: those that any worker has counted
	find      func() error   // adds to obstacles; nil: no cache
}

func newCounters(m Metrics, store sharedstate.Store, e *registry.Entry) *counters {
	cluster, p := e.Cluster, &e.Policy
	c := &counters{mode: p.Mode, noHost: m.Gauge(metric.NoHealthyHost.With(cluster))}
	if f := p.Fallback; f != nil && f.EnableCache {
		c.find = func() error { return c.findObstacles(m, store, cluster) }
	}
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

// findObstacles looks up the metrics of the obstacles that were counted since the last call.
func (c *counters) findObstacles(m Metrics, store sharedstate.Store, cluster string) error {
	counted, err := registry.ReadCacheObstacles(store, cluster)
	if err != nil {
		return err
	}
	add := func(set uint64, place int, which *metric.Metric) {
		for o := range fallback.Obstacles {
			if _, known := c.obstacles[place+int(o)]; known || set&(1<<o) == 0 {
				continue
			}
			if c.obstacles == nil {
				c.obstacles = map[int]Metric{}
			}
			c.obstacles[place+int(o)] = m.Counter(which.With(cluster, o.String()))
		}
	}
	add(counted.NotKept, countNotKept, &metric.CacheNotKeptTotal)
	add(counted.NotUsed, countNotUsed, &metric.CacheNotUsedTotal)
	return nil
}

// read returns what was counted since Envoy started.
func (c *counters) read() (n counts, err error) {
	n = make(counts, countAll)
	if c.find != nil {
		if err = c.find(); err != nil {
			return nil, err
		}
	}
	for place, m := range c.obstacles {
		if n[place], err = m.Value(); err != nil {
			return nil, err
		}
	}
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

package admin

import (
	"github.com/weir-mesh/weir/filter/internal/replay"
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

// The indexes of counts. The first holds the policy's mode plus 1, not a count: decisions of two modes are of different
// metrics, so those of one are not subtracted from the other's.
const (
	countMode      = 0
	countDecision  = 1                                              // by fallback.Reason
	countSource    = countDecision + int(fallback.BulkheadFull) + 1 // by fallback.Source
	countRetries   = countSource + int(fallback.FromDegraded) + 1
	countExhausted = countRetries + 1
	countFailovers = countRetries + 2
	countFailures  = countRetries + 3
	countRefused   = countRetries + 4 // by a policy that acts, also where it is in shadow now
	countNotKept   = countRetries + 5 // by fallback.Obstacle
	countNotUsed   = countNotKept + int(fallback.Obstacles)
	countUncarried = countNotUsed + int(fallback.Obstacles) // by replay.Reason
	countAll       = countUncarried + int(replay.Reasons)
)

// counters are a cluster's metrics. A count is the sum of several metrics: failovers, for example, of one for each
// target.
type counters struct {
	mode   policy.Mode
	counts [countNotKept][]Metric
	noHost Metric

	found map[int]Metric // of the cache's obstacles and of attempts, by place: those that any worker has counted
	find  []func() error // add to found
}

func newCounters(m Metrics, store sharedstate.Store, e *registry.Entry) *counters {
	cluster, p := e.Cluster, &e.Policy
	c := &counters{mode: p.Mode, noHost: m.Gauge(metric.NoHealthyHost.With(e.Upstream()))}
	if f := p.Fallback; f != nil && f.EnableCache {
		c.find = append(c.find, func() error { return c.findObstacles(m, store, cluster) })
	}
	prefix := ""
	if p.Mode == policy.ModeShadow {
		prefix = header.ShadowPrefix
	}
	for reason := fallback.None; reason <= fallback.BulkheadFull; reason++ {
		c.add(countDecision+int(reason), m.Counter(metric.RequestsTotal.With(cluster, prefix+reason.String())))
	}
	for reason := fallback.RateLimited; reason <= fallback.BulkheadFull; reason++ {
		c.add(countRefused, m.Counter(metric.RequestsTotal.With(cluster, reason.String())))
	}
	for source := fallback.FromUpstream; source <= fallback.FromDegraded; source++ {
		c.add(countSource+int(source), m.Counter(metric.ResponsesTotal.With(cluster, source.String())))
	}
	c.add(countFailures, m.Counter(metric.UpstreamFailuresTotal.With(cluster)))
	if p.Retry != nil {
		c.add(countRetries, m.Counter(metric.RetriesTotal.With(cluster)))
		c.add(countExhausted, m.Counter(metric.RetriesExhaustedTotal.With(cluster)))
		c.find = append(c.find, func() error { return c.findUncarried(m, store, cluster) })
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
			if set&(1<<o) != 0 {
				c.foundAt(place+int(o), func() Metric { return m.Counter(which.With(cluster, o.String())) })
			}
		}
	}
	add(counted.NotKept, countNotKept, &metric.CacheNotKeptTotal)
	add(counted.NotUsed, countNotUsed, &metric.CacheNotUsedTotal)
	return nil
}

// findUncarried does the same for the reasons for which attempts were not carried. Two of them may have one metric.
func (c *counters) findUncarried(m Metrics, store sharedstate.Store, cluster string) error {
	counted, err := registry.ReadUncarried(store, cluster)
	for why := replay.Connect; why < replay.Reasons; why++ {
		if counted&(1<<why) != 0 {
			c.foundAt(countUncarried+int(labelled(why)), func() Metric {
				return m.Counter(metric.AttemptsUncarriedTotal.With(cluster, why.Label()))
			})
		}
	}
	return err
}

// labelled is the first reason with the same label.
func labelled(why replay.Reason) replay.Reason {
	first := replay.Connect
	for first.Label() != why.Label() {
		first++
	}
	return first
}

// foundAt looks a metric up once.
func (c *counters) foundAt(place int, lookUp func() Metric) {
	if _, known := c.found[place]; known {
		return
	}
	if c.found == nil {
		c.found = map[int]Metric{}
	}
	c.found[place] = lookUp()
}

// read returns what was counted since Envoy started.
func (c *counters) read() (n counts, err error) {
	n = make(counts, countAll)
	for _, find := range c.find {
		if err = find(); err != nil {
			return nil, err
		}
	}
	for place, m := range c.found {
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
func (c *counters) since(r *registry.CountsAtReset) (n counts, seen bool, err error) {
	n, err = c.read()
	if err == nil {
		for _, counted := range n[countDecision:countRetries] { // decisions of this mode, and answers in any
			seen = seen || counted > 0
		}
	}
	if err == nil && len(r.Counts) >= countSource {
		if r.Counts[countMode] != n[countMode] {
			clear(r.Counts[countDecision:countSource])
		}
		r.SubtractFrom(n)
	}
	return n, seen, err
}

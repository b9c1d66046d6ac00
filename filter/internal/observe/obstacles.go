package observe

import (
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// obstacles are the counters of one of the metrics of a cluster's cache, by fallback.Obstacle. Each is defined when it is first
// needed: a cluster has a few of them, and Envoy keeps each name of a metric.
type obstacles struct {
	defined  uint64 // a bit for each
	counters [fallback.Obstacles]BatchedCounter
}

// NotKept implements request.Observer.
func (c *Cluster) NotKept(why fallback.Obstacle) {
	if c.obstacle(&c.notKept, &metric.CacheNotKeptTotal, why) {
		c.note(registry.CacheObstacles{NotKept: 1 << why})
	}
}

// NotUsed implements request.Observer.
func (c *Cluster) NotUsed(why fallback.Obstacle) {
	if c.obstacle(&c.notUsed, &metric.CacheNotUsedTotal, why) {
		c.note(registry.CacheObstacles{NotUsed: 1 << why})
	}
}

// obstacle counts one more. It reports whether it is the first of its kind in this plugin.
func (c *Cluster) obstacle(of **obstacles, which *metric.Metric, why fallback.Obstacle) (first bool) {
	if *of == nil {
		*of = &obstacles{}
	}
	o := *of
	if first = o.defined&(1<<why) == 0; first {
		o.defined |= 1 << why
		o.counters[why].counter = c.plugin.Metrics.Counter(which.With(c.name, why.String()))
	}
	c.plugin.Count(&o.counters[why])
	return first
}

// note lets the admin API know which of the metrics there are.
func (c *Cluster) note(more registry.CacheObstacles) {
	if err := registry.NoteCacheObstacles(c.plugin.Store, c.name, more); err != nil {
		c.Fault(err)
	}
}

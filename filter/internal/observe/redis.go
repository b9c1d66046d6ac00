package observe

import (
	"strings"
	"time"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/mesh"
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/redis"
)

// Redis is the metrics and log lines about calls to Redis. It implements mesh.Observer.
type Redis struct {
	store   sharedstate.Store
	ok      host.Counter
	failed  [redis.Refused + 1]host.Counter // by kind of error
	leases  [mesh.LeaseLate + 1]host.Counter
	latency host.Histogram
	logged  throttle
}

// NewRedis defines the metrics.
func NewRedis(store sharedstate.Store, m *Metrics) *Redis {
	r := &Redis{store: store, ok: m.Counter(metric.RedisCallsTotal.With("ok")), latency: m.Histogram(metric.RedisLatency.With())}
	for kind := redis.Malformed; kind <= redis.Refused; kind++ {
		r.failed[kind] = m.Counter(metric.RedisCallsTotal.With(strings.ReplaceAll(kind.String(), " ", "_")))
	}
	for result := range r.leases {
		r.leases[result] = m.Counter(metric.LeasesTotal.With(mesh.LeaseResult(result).String()))
	}
	return r
}

// Called implements mesh.Observer.
func (r *Redis) Called(failure *mesh.Failure, took time.Duration) {
	if failure == nil {
		r.ok.Add(1)
		r.latency.Record(uint64((took + time.Millisecond/2) / time.Millisecond))
		return
	}
	r.failed[failure.Kind].Add(1)
	if now := host.Now(); r.logged.allow(now) && allowForAll(r.store, "redis", now) {
		host.Warn("weir: " + failure.Log())
	}
}

// Leased implements mesh.Observer.
func (r *Redis) Leased(result mesh.LeaseResult) { r.leases[result].Add(1) }

// ResetDone implements mesh.Observer.
func (r *Redis) ResetDone(cluster string) {
	host.Info("weir: " + cluster + ": reset, in Redis too")
}

// ResetFailed implements mesh.Observer.
func (r *Redis) ResetFailed(cluster string) {
	host.Warn("weir: " + cluster + ": the reset did not reach Redis, which keeps counting; reset it again once Redis answers")
}

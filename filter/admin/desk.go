package admin

import (
	"maps"
	"strings"

	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// Journal hears what operators do.
type Journal interface {
	// Transition tells that a breaker changed by an operator's word.
	Transition(cluster string, from, to breaker.Status)
	// Done tells of anything that an operator did.
	Done(cluster, what string)
	// Fault tells of a failure of the filter itself.
	Fault(err error)
}

// Desk is where operators are answered. One goroutine uses it at a time.
type Desk struct {
	store   sharedstate.Store
	seed    [2]uint64
	metrics Metrics
	journal Journal
	hosts   []string

	clusters map[string]*cluster // as they were last asked for
	calls    []Metric            // to Redis, by redis.Kind, after those that went well
}

// cluster is what is kept of one between two requests.
type cluster struct {
	rules    string // packed: a reload brings others
	counters *counters
	view     *registry.View
}

// NewDesk is a desk in a worker. Hosts are names under which it may be asked for, beside those that are safe.
func NewDesk(store sharedstate.Store, seed [2]uint64, hosts []string, metrics Metrics, journal Journal) *Desk {
	d := &Desk{store: store, seed: seed, hosts: hosts, metrics: metrics, journal: journal, clusters: map[string]*cluster{}}
	d.calls = append(d.calls, metrics.Counter(metric.RedisCallsTotal.With("ok")))
	for kind := redis.Malformed; kind <= redis.Refused; kind++ {
		d.calls = append(d.calls, metrics.Counter(metric.RedisCallsTotal.With(strings.ReplaceAll(kind.String(), " ", "_"))))
	}
	return d
}

// list reads the directory, and lets go of what is kept of clusters that it no longer has: some 2 KB each. All others are
// kept, however many they are, since Envoy keeps something of each time that a metric is named (an id and its place in a
// map) until the VM is gone.
func (d *Desk) list(m Moment) (*registry.Listing, *refusal) {
	listing, err := registry.Read(d.store, m.Now)
	if err != nil {
		return nil, d.fault(err)
	}
	if len(d.clusters) > len(listing.Entries) {
		listed := make(map[string]bool, len(listing.Entries))
		for i := range listing.Entries {
			listed[listing.Entries[i].Cluster] = true
		}
		maps.DeleteFunc(d.clusters, func(name string, _ *cluster) bool { return !listed[name] })
	}
	return listing, nil
}

func (d *Desk) cluster(e *registry.Entry) *cluster {
	rules := string(e.AppendTo(nil))
	c := d.clusters[e.Cluster]
	if c == nil || c.rules != rules {
		p := e.Policy
		c = &cluster{rules: rules, counters: newCounters(d.metrics, e), view: registry.NewView(&p)}
		d.clusters[e.Cluster] = c
	}
	return c
}

// fault is an answer where the state can't be had.
func (d *Desk) fault(err error) *refusal {
	d.journal.Fault(err)
	return refuse(500, err.Error())
}

// Fault is the answer where the filter itself failed.
func Fault(err error, j Journal) Answer {
	j.Fault(err)
	return refuse(500, err.Error()).answer()
}

// all answers GET /status.
func (d *Desk) all(m Moment) (Answer, *refusal) {
	listing, refused := d.list(m)
	if refused != nil {
		return Answer{}, refused
	}
	var err error
	s := Status{Time: rfc3339(m.Wall), Clusters: map[string]*Cluster{}, LeftOut: listing.LeftOut}
	for i := range listing.Entries {
		e := &listing.Entries[i]
		if s.Clusters[e.Cluster], err = d.read(e, m); err != nil {
			return Answer{}, d.fault(err)
		}
	}
	if s.Redis, err = d.redis(listing.Redis); err != nil {
		return Answer{}, d.fault(err)
	}
	return jsonAnswer(200, s), nil
}

// find is a cluster's entry.
func (d *Desk) find(name string, m Moment) (*registry.Entry, *refusal) {
	listing, refused := d.list(m)
	if refused != nil {
		return nil, refused
	}
	if e := listing.Find(name); e != nil {
		return e, nil
	}
	return nil, refuse(404, "no cluster "+quote(name)+" has a policy")
}

// one answers GET /status/CLUSTER.
func (d *Desk) one(name string, m Moment) (Answer, *refusal) {
	e, refused := d.find(name, m)
	if refused != nil {
		return Answer{}, refused
	}
	c, err := d.read(e, m)
	if err != nil {
		return Answer{}, d.fault(err)
	}
	c.Name = name
	return jsonAnswer(200, c), nil
}

// read is how a cluster stands.
func (d *Desk) read(e *registry.Entry, m Moment) (*Cluster, error) {
	kept := d.cluster(e)
	var record sharedstate.Record
	if _, err := sharedstate.NewCell(d.store, sharedstate.ClusterKey(e.Cluster), &record).Load(); err != nil {
		return nil, err
	}
	baseline, err := registry.ReadCountsAtReset(d.store, e.Cluster)
	if err != nil {
		return nil, err
	}
	n, err := kept.counters.since(&baseline)
	if err != nil {
		return nil, err
	}
	noHost, err := kept.counters.noHost.Value()
	if err != nil {
		return nil, err
	}
	rules := kept.view.Policy
	c := &Cluster{
		Mode: modeName(rules.Mode),
		Requests: Requests{
			Allowed:      n[countDecision+int(fallback.None)],
			RateLimited:  n[countDecision+int(fallback.RateLimited)],
			CircuitOpen:  n[countDecision+int(fallback.CircuitOpen)],
			BulkheadFull: n[countDecision+int(fallback.BulkheadFull)],
		},
		Answers: Answers{Upstream: n[countSource+int(fallback.FromUpstream)], Fallback: Fallback{
			Cache:      n[countSource+int(fallback.FromCache)],
			StaleCache: n[countSource+int(fallback.FromStaleCache)],
			Default:    n[countSource+int(fallback.FromDefault)],
			Degraded:   n[countSource+int(fallback.FromDegraded)],
			Error:      n[countSource+int(fallback.FromError)],
		}},
		Upstream: Upstream{NoHealthyHost: noHost != 0},
	}
	if rules.CircuitBreaker != nil {
		c.Breaker = readBreaker(kept.view, &record, m)
	}
	if rules.RateLimit != nil {
		if c.RateLimit, err = d.readLimit(kept.view, e.Cluster, &record, m.Now); err != nil {
			return nil, err
		}
		c.RateLimit.Limited = c.Requests.RateLimited
	}
	if rules.Fallback != nil {
		c.Fallback = &c.Answers.Fallback
	}
	if rules.Retry != nil {
		c.Retry = &Retry{Attempts: n[countRetries], Exhausted: n[countSpent], Budget: kept.view.RetryBudget(&record, m.Now)}
	}
	if b := rules.Bulkhead; b != nil {
		c.Bulkhead = &Bulkhead{InFlight: kept.view.InFlight(&record, m.Now), Rejected: c.Requests.BulkheadFull, Most: b.MaxConcurrent}
	}
	if f := rules.Failover; f != nil {
		c.Failover = &Failover{To: f.To, Total: n[countMoved]}
	}
	return c, nil
}

func readBreaker(v *registry.View, record *sharedstate.Record, m Moment) *Breaker {
	rules, s := v.Policy.CircuitBreaker, &record.Breaker
	b := &Breaker{
		State: s.Status.String(), Forced: forcedName(s.Forced), Since: m.at(s.Since), Cause: causeName(s.Cause),
		FailureCount: s.Failures, SuccessCount: s.Successes, OpensTotal: s.Opens,
		RetryAfter:       seconds(v.RetryAfter(record, m.Now)),
		FailureThreshold: rules.FailureThreshold, SuccessThreshold: rules.SuccessThreshold,
		RecoveryTimeout: seconds(rules.RecoveryTimeout),
	}
	if s.Status == breaker.Open {
		b.OpenedAt = b.Since
	}
	if rate := rules.FailureRate; rate != nil {
		b.FailureRate = &rate.Threshold
	}
	if slow := rules.SlowCalls; slow != nil {
		b.SlowCalls = &slow.Threshold
	}
	return b
}

func (d *Desk) readLimit(v *registry.View, name string, record *sharedstate.Record, now int64) (*RateLimit, error) {
	rules := v.Policy.RateLimit
	var redis registry.RedisView
	if rules.Scope == policy.ScopeMesh {
		var err error
		if redis, err = registry.ReadRedisView(d.store, name); err != nil {
			return nil, err
		}
	}
	n := v.Limit(record, &redis, now)
	limit := &RateLimit{
		Algorithm: algorithmName(rules.Algorithm), Scope: scopeName(rules.Scope), Keyed: len(rules.Key) > 0,
		PerMinute: n.PerMinute, Configured: n.ConfiguredPerMinute, Window: seconds(n.Window),
	}
	if n.RemainingKnown {
		limit.Remaining = &n.Remaining
	}
	if n.SuccessRatioKnown {
		limit.SuccessRate = &n.SuccessRatio
	}
	return limit, nil
}

// redis is how the calls to Redis go.
func (d *Desk) redis(used bool) (r Redis, err error) {
	for i, c := range d.calls {
		n, err := c.Value()
		if err != nil {
			return r, err
		}
		r.Calls += n
		if i > 0 {
			r.Errors += n
		}
	}
	calls, err := registry.ReadRedisCalls(d.store)
	if err != nil {
		return r, err
	}
	switch {
	case !used:
		r.State = "off"
	case calls.Failing():
		r.State = "trouble"
	default:
		r.State = "ok"
	}
	return r, nil
}

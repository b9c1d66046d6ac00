// Package publish publishes the state of a plugin's clusters once a second, outside of requests: to the registry, for
// the admin API of other plugins, and to Envoy's gauges.
//
//	every heartbeat ─┬─► registry: this document is in use, with these clusters
//	                 ├─► mesh: how calls to Redis go; an operator's reset on its way
//	                 └─► gauges of the clusters that were used, and of some others in turn
package publish

import (
	"errors"
	"strings"

	"github.com/weir-mesh/weir/filter/internal/mesh"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/worker"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// Gauges show a cluster's state. All workers share each gauge.
type Gauges interface {
	request.HostGauge
	// Breaker shows the breaker's status.
	Breaker(s breaker.Status)
	// InFlight shows how many requests are in flight.
	InFlight(n uint32)
	// Limit shows the limit in force, in requests a minute.
	Limit(perMinute float64)
	// SuccessRatio shows the share of successes by which an adaptive limit changes, 0 to 1.
	SuccessRatio(ratio float64)
}

// Publisher publishes one plugin's policy document.
type Publisher struct {
	store    sharedstate.Store
	registry *registry.Publisher
	client   *mesh.Client  // nil without Redis
	redis    *policy.Redis // the document's
	clusters []cluster
	next     int   // index in clusters of the next one in turn
	changed  int64 // time of the last operator's change that was published
	patterns []policy.Cluster
}

// To refresh a cluster costs one to three host calls if nothing changed, and six if something did: 2 to 6 us. So a
// heartbeat refreshes each cluster that had requestsPerRefresh requests since its last refresh, a tenth of a
// microsecond for each request, and turnsPerHeartbeat others in turn: of 1,000 clusters without requests each is
// refreshed every half minute. A breaker's transitions are shown at once, and after an operator's change all clusters
// are refreshed.
const (
	turnsPerHeartbeat  = 32
	requestsPerRefresh = 64
)

// cluster is what is shown of one cluster.
type cluster struct {
	*request.Cluster
	view    *registry.View
	gauges  Gauges
	resets  uint32 // Record.Resets that this worker has followed
	redis   registry.RedisView
	version uint32 // of the record as it was last shown
	steady  bool   // what is shown stays correct until the record changes
	pattern string // that is its policy's, until a request has come
}

// New publishes a document. Client is the plugin's client of Redis, nil without Redis.
func New(w *worker.Worker, document *policy.Document, client *mesh.Client) *Publisher {
	p := &Publisher{store: w.Store, client: client, redis: document.Redis, registry: registry.NewPublisher(w.Store, document.Hash, document.Redis != nil)}
	for _, c := range document.Clusters {
		switch {
		case strings.Contains(c.Pattern, "*"): // its clusters are published when they are used
			p.patterns = append(p.patterns, c)
			p.registry.AddPattern(c.Pattern)
		case c.Policy.Mode == policy.ModeOff:
			p.registry.Add(registry.Entry{Cluster: c.Pattern, Policy: policy.Policy{Mode: policy.ModeOff}})
		default:
			p.registry.Add(registry.Entry{Cluster: c.Pattern, Policy: *c.Policy}.WithRedis(document.Redis))
		}
	}
	return p
}

// Renew says that the document was loaded again: with the next Heartbeat it is the newest one in force.
func (p *Publisher) Renew() { p.registry.Renew() }

// NewestSince is since when the document is the newest one in force, by the clock of Heartbeat; 0: another one is newer.
func (p *Publisher) NewestSince() int64 { return p.registry.NewestSince() }

// Unmatched is how many patterns of the document match no cluster that a request of any worker went to.
func (p *Publisher) Unmatched() int { return p.registry.Unmatched() }

// News reports whether the last Heartbeat made the document the newest one in force.
func (p *Publisher) News() bool { return p.registry.News() }

// Add publishes a cluster that is used.
func (p *Publisher) Add(c *request.Cluster, rules *policy.Policy, gauges Gauges) {
	e := registry.Entry{Cluster: c.Name(), Named: c.Policy(), Policy: *rules, OwnBreaker: c.OwnBreaker()}
	p.registry.Add(e.WithRedis(p.redis))
	c.ShowHosts(gauges)
	if _, err := c.LoadRecord(); err != nil {
		c.Observer().Fault(err) // the next heartbeat tries again
	}
	added := cluster{Cluster: c, view: registry.NewView(rules), gauges: gauges, resets: c.Record().Resets}
	for i := range p.patterns {
		if p.patterns[i].Policy == rules {
			added.pattern = p.patterns[i].Pattern
		}
	}
	p.clusters = append(p.clusters, added)
}

// Forget drops all clusters, since they are made again. They stay in the registry.
func (p *Publisher) Forget() { p.clusters, p.next = nil, 0 }

// Heartbeat publishes. Call it every sharedstate.HeartbeatEvery, and when the plugin starts. Gone is the clusters that
// no document has any more: the caller retires their gauges.
func (p *Publisher) Heartbeat(now int64) (gone []registry.Entry, err error) {
	for i := range p.clusters {
		if c := &p.clusters[i]; c.pattern != "" && c.Begun() > 0 {
			p.registry.Matched(c.pattern)
			c.pattern = ""
		}
	}
	gone, err = p.registry.Heartbeat(now)
	if p.client != nil {
		err = errors.Join(err, p.client.Publish(now))
	}
	turns, failed := p.turns()
	err = errors.Join(err, failed)
	for i := range p.clusters {
		c := &p.clusters[i]
		inTurn := (i-p.next+len(p.clusters))%len(p.clusters) < turns
		if inTurn || c.Begun() >= requestsPerRefresh {
			c.ResetBegun()
			err = errors.Join(err, c.refresh(now))
		}
	}
	if len(p.clusters) > 0 {
		p.next = (p.next + turns) % len(p.clusters)
	}
	return gone, err
}

// turns is how many clusters are refreshed in turn: all of them after an operator's change.
func (p *Publisher) turns() (n int, err error) {
	if len(p.clusters) <= turnsPerHeartbeat {
		return len(p.clusters), nil
	}
	changed, err := registry.LastChange(p.store)
	if err != nil || changed == p.changed {
		return turnsPerHeartbeat, err
	}
	p.changed = changed
	return len(p.clusters), nil
}

// refresh loads a cluster's record, and updates its gauges if something changed.
func (c *cluster) refresh(now int64) (err error) {
	version, err := c.LoadRecord()
	if err != nil {
		return err
	}
	if c.steady && version == c.version {
		c.RefreshHosts()
		return nil
	}
	c.version = version
	if limit := c.Mesh(); limit != nil {
		if resets := c.Record().Resets; resets != c.resets || limit.Resetting() {
			c.resets = resets
			err = limit.Reset(resets, now)
		}
		var failed error
		c.redis, failed = limit.Publish(now)
		err = errors.Join(err, failed)
	}
	c.steady = c.showGauges(now) && err == nil
	return err
}

// showGauges shows the record as it was just loaded. It reports whether the gauges stay correct until the record
// changes. They do not while requests are in flight, since their worker's places may expire, nor for a limit that
// changes by itself.
func (c *cluster) showGauges(now int64) (steady bool) {
	steady = true
	record, rules := c.Record(), c.view.Policy
	if rules.CircuitBreaker != nil {
		c.gauges.Breaker(record.Breaker.Status)
	}
	if rules.Bulkhead != nil {
		n := c.view.InFlight(record, c.Shown(), now)
		c.gauges.InFlight(n)
		steady = n == 0
	}
	if l := rules.RateLimit; l != nil {
		limit := c.view.Limit(record, &c.redis, now)
		c.gauges.Limit(limit.PerMinute)
		if limit.SuccessRatioKnown {
			c.gauges.SuccessRatio(limit.SuccessRatio)
		}
		steady = steady && l.Scope != policy.ScopeMesh && l.Algorithm != policy.Adaptive
	}
	c.RefreshHosts()
	return steady
}

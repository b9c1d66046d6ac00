package request

import (
	"slices"
	"time"

	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/sharedstate"
)

// failover sends a cluster's requests to another one while its breaker refuses them. The filter sets a header that the
// routes match; where a request really went is known when its response comes.
type failover struct {
	find  func(cluster string) *Cluster
	until int64 // no failover before: a request went to another cluster than the header says
}

// failoverRest is how long there is no failover after a request went to another cluster than the header says: it
// reached its own cluster although the breaker refuses.
const failoverRest = 10 * time.Second

// FindClustersBy sets how failover finds other clusters.
func (c *Cluster) FindClustersBy(find func(cluster string) *Cluster) { c.failover.find = find }

// StopFailover stops failover for a while: a request that failed over went to another cluster, since no route matches the
// header.
func (c *Cluster) StopFailover(now int64) { c.failover.until = now + int64(failoverRest) }

// failOver sends a request that the breaker refuses to the first cluster whose own breaker admits it.
func (r *Request) failOver(now int64) (step Step, ok bool) {
	c := r.cluster
	rules := c.failoverRules
	if rules == nil || c.failover.find == nil || r.in.FailedOver || c.shadow || now < c.failover.until {
		return Step{}, false
	}
	for _, name := range rules.To {
		to := c.failover.find(name)
		if to == nil || !to.askBreaker(now).Admitted {
			continue
		}
		c.observer.FailedOver(to.upstream)
		r.state, r.attempt = Idle, stage.Attempt{} // Begin follows, with the other cluster
		return Step{Kind: Failover, To: to, Set: []header.Pair{{rules.Header, to.upstream}}}, true
	}
	return Step{}, false
}

// askBreaker asks the breaker whether it would admit a request, and changes nothing.
func (c *Cluster) askBreaker(now int64) breaker.Verdict {
	v := breaker.Verdict{Admitted: true, Ticket: breaker.Ticket{Slot: -1}}
	if c.breaker == nil {
		return v
	}
	asked := v
	if !c.change(func(r *sharedstate.Record) bool {
		asked = r.Breaker.Admit(c.breaker, now)
		return false
	}) {
		return v
	}
	return asked
}

// admitsMore reports whether the breaker is closed, so that it admits requests other than probes.
func (c *Cluster) admitsMore(now int64) bool {
	v := c.askBreaker(now)
	return v.Admitted && !v.HalfOpened && v.Ticket.Slot < 0
}

// nextRegion is the cluster that the next attempt goes to, nil if no breaker is closed. With failover each attempt goes
// to the next cluster of the list, without it to the request's own.
func (r *Request) nextRegion(now int64) *Cluster {
	home := r.home
	if home.failoverRules == nil || home.failover.find == nil {
		if home.admitsMore(now) {
			return home
		}
		return nil
	}
	regions := home.failoverRules.To
	for i := range len(regions) + 1 {
		to := home
		if at := (r.retry.made + 1 + i) % (len(regions) + 1); at > 0 {
			to = home.failover.find(regions[at-1])
		}
		if to != nil && r.reaches(to) && to.admitsMore(now) {
			return to
		}
	}
	return nil
}

// reaches reports whether the request's route leads to a cluster, with failover's header or without.
func (r *Request) reaches(to *Cluster) bool {
	return to == r.route || r.route.failoverRules != nil && slices.Contains(r.route.failoverRules.To, to.upstream)
}

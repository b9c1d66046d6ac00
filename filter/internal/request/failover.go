package request

import (
	"time"

	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/sharedstate"
)

// failover sends a cluster's requests to another one while its breaker refuses them. The filter sets a header that the
// routes match; which cluster a request really went to is known when its response comes.
type failover struct {
	find  func(cluster string) *Cluster
	until int64 // nothing fails over before: a request went to another cluster than the header says
}

// failoverRest is how long nothing fails over after a request did not arrive where the header says: it went past its
// cluster's breaker, which refuses again meanwhile.
const failoverRest = 10 * time.Second

// FindClustersBy tells how other clusters are found, for failover.
func (c *Cluster) FindClustersBy(find func(cluster string) *Cluster) { c.failover.find = find }

// Misrouted says that a request which failed over went to another cluster: no route matches the header.
func (c *Cluster) Misrouted(now int64) { c.failover.until = now + int64(failoverRest) }

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
		c.observer.FailedOver(to.name)
		r.state, r.attempt = Idle, stage.Attempt{} // Begin follows, with the other cluster
		return Step{Kind: Failover, To: to, Set: []header.Pair{{rules.Header, to.name}}}, true
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

// admitsMore reports whether the breaker would admit a request that is no probe.
func (c *Cluster) admitsMore(now int64) bool {
	v := c.askBreaker(now)
	return v.Admitted && !v.HalfOpened && v.Ticket.Slot < 0
}

// nextRegion is the cluster that the next attempt goes to, nil where there is none whose breaker is closed: with failover
// the next one of the list with each attempt, else the request's own.
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
		if to != nil && to.admitsMore(now) {
			return to
		}
	}
	return nil
}

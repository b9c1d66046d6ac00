package flow

import (
	"time"

	"github.com/weir-mesh/weir/policy/breaker"
)

// failover sends a cluster's requests to another one while its breaker refuses them. The filter sets a header that the
// routes match; which cluster a request really went to is known when its answer comes.
type failover struct {
	header string
	to     []string
	find   func(cluster string) *Plan
	missed int64 // until when it rests, since a request went to another cluster than the header says
}

// rest is how long nothing fails over after a request did not arrive where the header says: its cluster's breaker, which
// it went past, refuses again.
const rest = 10 * time.Second

// FindsBy tells where the plans of other clusters are had, for failover.
func (p *Plan) FindsBy(find func(cluster string) *Plan) {
	if p.failover != nil {
		p.failover.find = find
	}
}

// choose is the first cluster whose own breaker lets a request through, nil where there is none.
func (f *failover) choose(now int64) *Plan {
	if f.find == nil || now < f.missed {
		return nil
	}
	for _, name := range f.to {
		if to := f.find(name); to != nil && to.admits(now) {
			return to
		}
	}
	return nil
}

// admits asks a plan's breaker whether it would let a request through, and changes nothing.
func (p *Plan) admits(now int64) bool { return p.ask(now).Admitted }

// passes says that it would, and not as a probe.
func (p *Plan) passes(now int64) bool {
	v := p.ask(now)
	return v.Admitted && !v.HalfOpened && v.Ticket.Slot < 0
}

func (p *Plan) ask(now int64) (v breaker.Verdict) {
	always := breaker.Verdict{Admitted: true, Ticket: breaker.Ticket{Slot: -1}}
	if p.breaker == nil {
		return always
	}
	_, err := p.cell.Update(func() bool {
		v = p.record.Breaker.Admit(p.breaker, now)
		return false
	})
	if err != nil {
		p.observer.Fault(err)
		return always
	}
	return v
}

// failOver sends a request that the breaker refuses to another cluster, where there is one.
func (x *Exchange) failOver(now int64) (step Step, ok bool) {
	f := x.plan.failover
	if f == nil || x.request.Moved || x.plan.shadow {
		return Step{}, false
	}
	to := f.choose(now)
	if to == nil {
		return Step{}, false
	}
	x.plan.observer.FailedOver(to.cluster)
	return Step{Kind: Failover, To: to, Set: []Header{{f.header, to.cluster}}}, true
}

// Missed says that a request which failed over went to another cluster: no route matches the header.
func (p *Plan) Missed(now int64) {
	if p.failover != nil {
		p.failover.missed = now + int64(rest)
	}
}

package admin

import (
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// done is the answer to what was done.
func done(cluster, what string) Answer {
	return jsonAnswer(200, struct {
		Cluster string `json:"cluster"`
		Done    string `json:"done"`
	}{cluster, what})
}

// reset answers POST /reset/CLUSTER.
func (d *Desk) reset(name string, m Moment) (Answer, *refusal) {
	e, refused := d.find(name, m)
	if refused != nil {
		return Answer{}, refused
	}
	counts, err := d.cluster(e).counters.read()
	if err == nil {
		err = registry.StoreCountsAtReset(d.store, name, counts)
	}
	if err != nil {
		return Answer{}, d.fault(err)
	}
	moved, err := registry.ResetCluster(d.store, name, &e.Policy, m.Now)
	if err != nil {
		return Answer{}, d.fault(err)
	}
	d.moved(name, moved)
	d.journal.Done(name, "reset")
	return done(name, "reset"), nil
}

// force answers POST /breaker/CLUSTER/WORD.
func (d *Desk) force(name string, f breaker.Forced, word string, m Moment) (Answer, *refusal) {
	e, refused := d.find(name, m)
	if refused != nil {
		return Answer{}, refused
	}
	if e.Policy.CircuitBreaker == nil {
		return Answer{}, refuse(400, "the policy of "+quote(name)+" has no circuit_breaker")
	}
	moved, err := registry.ForceBreaker(d.store, name, f, m.Now)
	if err != nil {
		return Answer{}, d.fault(err)
	}
	d.moved(name, moved)
	d.journal.Done(name, "breaker "+word)
	return done(name, word), nil
}

func (d *Desk) moved(name string, moved registry.Transition) {
	if moved.From != moved.To {
		d.journal.Transition(name, moved.From, moved.To)
	}
}

// invalidate answers POST /cache/invalidate.
func (d *Desk) invalidate(name, path string, m Moment) (Answer, *refusal) {
	e, refused := d.find(name, m)
	if refused != nil {
		return Answer{}, refused
	}
	if f := e.Policy.Fallback; f == nil || !f.EnableCache {
		return Answer{}, refuse(400, "the policy of "+quote(name)+" keeps no answers: no fallback with enable_cache_fallback")
	}
	if err := registry.InvalidateCache(d.store, d.seed, name, path, e.Policy.Fallback, m.Now); err != nil {
		return Answer{}, d.fault(err)
	}
	d.journal.Done(name, "cache invalidated")
	return done(name, "invalidate"), nil
}

package limit

import (
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// ByKey is a limit for each key, in a table of its own. It implements stage.Stage.
type ByKey struct {
	limiter  *ratelimit.Limiter
	index    int
	learns   bool
	table    *sharedstate.KeyTable
	reporter stage.Reporter
}

// NewByKey is the stage of a limiter that stands at this index among a cluster's limits, with room for at least maxKeys
// keys. Learns says that the limit moves by outcomes.
func NewByKey(store sharedstate.Store, cluster string, l *ratelimit.Limiter, index, maxKeys int, learns bool, r stage.Reporter) *ByKey {
	return &ByKey{
		limiter: l, index: index, learns: learns, reporter: r,
		table: sharedstate.NewKeyTable(store, cluster, maxKeys, l.Size()),
	}
}

// Admit implements stage.Stage. A table that can't be changed refuses nothing.
func (b *ByKey) Admit(c *stage.Call, now int64) stage.Verdict {
	var v ratelimit.Verdict
	idle := func(state []byte) bool { return !b.limiter.Usable(state) || b.limiter.Idle(state, now) }
	at, conflicts, err := b.table.Update(c.Key, idle, func(state []byte, fresh bool) bool {
		if fresh || !b.limiter.Usable(state) {
			b.limiter.Reset(state)
		}
		v = b.limiter.Take(state, now, 1)
		return v.Store
	})
	b.reporter.Conflicts(conflicts)
	if err != nil {
		b.reporter.Fault(err)
		c.Limits[b.index] = stage.Limit{}
		return stage.Verdict{}
	}
	c.Limits[b.index] = stage.Limit{Verdict: v, Slot: at}
	return verdict(&v)
}

// Settle implements stage.Stage: an adaptive limit moves by outcomes.
func (b *ByKey) Settle(c *stage.Call, s *stage.Settlement, now int64) (changed bool) {
	if !b.learns || !s.Known || s.Outcome == breaker.Neither {
		return false
	}
	conflicts, err := b.table.Change(c.Limits[b.index].Slot, func(state []byte) bool {
		return b.limiter.Usable(state) && b.limiter.Outcome(state, s.Outcome == breaker.Success, now)
	})
	b.reporter.Conflicts(conflicts)
	if err != nil {
		b.reporter.Fault(err)
	}
	return err == nil
}

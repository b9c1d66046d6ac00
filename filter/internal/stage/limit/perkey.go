package limit

import (
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// PerKey is a limit for each key, in a table of its own. It implements stage.Stage.
type PerKey struct {
	views    *ratelimit.Views
	index    int
	learns   bool
	table    *sharedstate.KeyTable
	reporter stage.Reporter
}

// NewPerKey is the stage of a limiter at this index among the policy's limits, with room for at least maxKeys keys.
// Learns says that the limit is adaptive: outcomes change it.
func NewPerKey(store sharedstate.Store, cluster string, l *ratelimit.Limiter, index, maxKeys int, learns bool, r stage.Reporter) *PerKey {
	return &PerKey{
		views: ratelimit.NewViews(l), index: index, learns: learns, reporter: r,
		table: sharedstate.NewKeyTable(store, cluster, maxKeys),
	}
}

// Admit implements stage.Stage. A table that can't be changed refuses nothing.
func (l *PerKey) Admit(a *stage.Attempt, now int64) stage.Verdict {
	var v ratelimit.Verdict
	idle := func(state []byte) bool { return l.views.Idle(state, now) }
	at, conflicts, err := l.table.Update(a.Limits[l.index].Slot.Key, idle, func(way *sharedstate.Way) bool {
		way.State = l.views.Open(way.State, now)
		v = l.views.Take(now, 1)
		return v.Store
	})
	l.reporter.Conflicts(conflicts)
	if err != nil {
		l.reporter.Fault(err)
		a.Limits[l.index].Verdict = ratelimit.Verdict{}
		return stage.Verdict{}
	}
	a.Limits[l.index] = stage.Limit{Verdict: v, Slot: at}
	return verdict(&v)
}

// Settle implements stage.Stage: outcomes change an adaptive limit.
func (l *PerKey) Settle(a *stage.Attempt, s stage.Settlement, now int64) (changed bool) {
	if !l.learns || !s.Known || s.Outcome == breaker.Neither {
		return false
	}
	conflicts, err := l.table.Change(a.Limits[l.index].Slot, func(way *sharedstate.Way) bool {
		if !l.views.Has(way.State) {
			return false
		}
		way.State = l.views.Open(way.State, now)
		return l.views.Outcome(s.Outcome == breaker.Success, now)
	})
	l.reporter.Conflicts(conflicts)
	if err != nil {
		l.reporter.Fault(err)
	}
	return err == nil
}

package limit

import (
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// PerKey is a limit for each key, in a table of its own. It implements stage.Stage.
type PerKey struct {
	index    int
	learns   bool
	table    *sharedstate.KeyTable
	reporter stage.Reporter
	// Used again by each request: TinyGo would allocate what function literals capture.
	taking   taking
	learning learning
}

// taking is a request that takes one from its key's state.
type taking struct {
	views   *ratelimit.Views
	now     int64
	verdict ratelimit.Verdict
}

// Idle implements sharedstate.KeyStates.
func (t *taking) Idle(state []byte) bool { return t.views.Idle(state, t.now) }

// Change implements sharedstate.KeyStates.
func (t *taking) Change(way *sharedstate.Way) (store bool) {
	way.State = t.views.Open(way.State, t.now)
	t.verdict = t.views.Take(t.now, 1)
	return t.verdict.Store
}

// learning is an outcome that changes its key's state.
type learning struct {
	views   *ratelimit.Views
	now     int64
	success bool
	creates bool // also a state that is not there
}

// Idle implements sharedstate.KeyStates.
func (l *learning) Idle(state []byte) bool { return l.views.Idle(state, l.now) }

// Change implements sharedstate.KeyStates.
func (l *learning) Change(way *sharedstate.Way) (store bool) {
	if !l.creates && !l.views.Has(way.State) {
		return false
	}
	way.State = l.views.Open(way.State, l.now)
	return l.views.Outcome(l.success, l.now)
}

// NewPerKey is the stage of a limiter at this index among the policy's limits, with room for at least maxKeys keys.
// Learns says that the limit is adaptive: outcomes change it.
func NewPerKey(store sharedstate.Store, cluster string, l *ratelimit.Limiter, index, maxKeys int, learns bool, r stage.Reporter) *PerKey {
	views := ratelimit.NewViews(l)
	return &PerKey{
		index: index, learns: learns, reporter: r, taking: taking{views: views}, learning: learning{views: views},
		table: sharedstate.NewKeyTable(store, cluster, maxKeys),
	}
}

// Admit implements stage.Stage. A table that can't be changed refuses nothing.
func (l *PerKey) Admit(a *stage.Attempt, now int64) stage.Verdict {
	l.taking.now = now
	at, conflicts, err := l.table.Update(a.Limits[l.index].Slot.Key, &l.taking)
	l.reporter.Conflicts(conflicts)
	if err != nil {
		l.reporter.Fault(err)
		a.Limits[l.index].Verdict = ratelimit.Verdict{}
		return stage.Verdict{}
	}
	a.Limits[l.index] = stage.Limit{Verdict: l.taking.verdict, Slot: at}
	return verdict(&l.taking.verdict)
}

// Settle implements stage.Stage: outcomes change an adaptive limit.
func (l *PerKey) Settle(a *stage.Attempt, s stage.Settlement, now int64) (changed bool) {
	if !l.learns || !s.Known || s.Outcome == breaker.Neither {
		return false
	}
	l.learning.now, l.learning.success, l.learning.creates = now, s.Outcome == breaker.Success, false
	conflicts, err := l.table.Change(a.Limits[l.index].Slot, &l.learning)
	l.reporter.Conflicts(conflicts)
	if err != nil {
		l.reporter.Fault(err)
	}
	return err == nil
}

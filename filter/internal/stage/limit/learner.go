package limit

import (
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// Learner takes the outcomes of requests that an adaptive limit of the cluster as a whole did not decide about, and takes
// nothing from it. It implements stage.Member.
type Learner struct{ views *ratelimit.Views }

// NewLearner is the stage of an adaptive limiter.
func NewLearner(l *ratelimit.Limiter) *Learner { return &Learner{ratelimit.NewViews(l)} }

// Admit implements stage.Stage.
func (*Learner) Admit(*stage.Attempt, int64) stage.Verdict { return stage.Verdict{} }

// Settle implements stage.Stage.
func (l *Learner) Settle(a *stage.Attempt, s stage.Settlement, now int64) (changed bool) {
	if !s.Known || s.Outcome == breaker.Neither {
		return false
	}
	a.Record.Limit = l.views.Open(a.Record.Limit, now)
	return l.views.Outcome(s.Outcome == breaker.Success, now)
}

// Done implements stage.Member.
func (*Learner) Done(*stage.Attempt, stage.Settlement, bool) {}

// KeyLearner is a Learner of a limit by key. It implements stage.Stage.
type KeyLearner struct{ of *PerKey }

// NewKeyLearner is the stage of an adaptive limiter, as NewPerKey makes that which decides.
func NewKeyLearner(store sharedstate.Store, cluster string, l *ratelimit.Limiter, index, maxKeys int, r stage.Reporter) *KeyLearner {
	return &KeyLearner{NewPerKey(store, cluster, l, index, maxKeys, true, r)}
}

// Admit implements stage.Stage.
func (*KeyLearner) Admit(*stage.Attempt, int64) stage.Verdict { return stage.Verdict{} }

// Settle implements stage.Stage. The attempt's key is in its limit's Slot.
func (k *KeyLearner) Settle(a *stage.Attempt, s stage.Settlement, now int64) (changed bool) {
	if !s.Known || s.Outcome == breaker.Neither {
		return false
	}
	l := k.of
	l.learning.now, l.learning.success, l.learning.creates = now, s.Outcome == breaker.Success, true
	_, conflicts, err := l.table.Update(a.Limits[l.index].Slot.Key, &l.learning)
	l.reporter.Conflicts(conflicts)
	if err != nil {
		l.reporter.Fault(err)
	}
	return err == nil
}

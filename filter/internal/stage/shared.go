package stage

import (
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// Shared joins the stages that keep their state in the cluster's record. All of them decide in one change of it, so a
// request that one refuses takes nothing from the others.
type Shared struct {
	cell     *sharedstate.Cell
	record   *sharedstate.Record
	members  []Member
	learns   bool
	reporter Reporter
}

// NewShared is the stage of these members, whose record cell loads. Learns says that a member needs the outcome of
// every request.
func NewShared(cell *sharedstate.Cell, record *sharedstate.Record, learns bool, r Reporter, members ...Member) *Shared {
	return &Shared{cell: cell, record: record, members: members, learns: learns, reporter: r}
}

// Admit implements Stage. A record that can't be changed refuses nothing.
func (s *Shared) Admit(a *Attempt, now int64) (v Verdict) {
	held, refused := a.Held, -1
	a.Record = s.record
	conflicts, err := s.cell.Update(func() (store bool) {
		a.Held, refused = held, -1
		for i, m := range s.members {
			if v = m.Admit(a, now); v.Reason != fallback.None {
				refused = i
				return false
			}
			store = store || v.Changed
		}
		return store
	})
	s.report(conflicts, err)
	switch {
	case err != nil:
		a.Held, a.Retries, a.Moved = held, Retries{}, Transition{} // none of it is stored
		for i := range a.Limits {
			a.Limits[i].Verdict = ratelimit.Verdict{}
		}
		a.faulted |= 1 << a.admitted
		return Verdict{}
	case refused >= 0:
		a.Held = held
		if v.Changed {
			s.repair(a, s.members[refused], now)
		}
		return v
	}
	for _, m := range s.members {
		m.Done(a, Settlement{}, true)
	}
	return Verdict{}
}

// repair stores what a member repaired in the record while it refused, without the changes of the others: a limit whose
// times are of another clock counts from now on, or each refusal would restart its window.
func (s *Shared) repair(a *Attempt, m Member, now int64) {
	conflicts, err := s.cell.Update(func() bool {
		v := m.Admit(a, now)
		return v.Reason != fallback.None && v.Changed
	})
	s.report(conflicts, err)
}

// Settle implements Stage.
func (s *Shared) Settle(a *Attempt, e Settlement, now int64) bool {
	if !a.needsSettling(e, s.learns) {
		return false
	}
	a.Record = s.record
	conflicts, err := s.cell.Update(func() (store bool) {
		for _, m := range s.members {
			if m.Settle(a, e, now) {
				store = true
			}
		}
		return store
	})
	s.report(conflicts, err)
	for _, m := range s.members {
		m.Done(a, e, err == nil)
	}
	return err == nil
}

func (s *Shared) report(conflicts int, err error) {
	if conflicts > 0 {
		s.reporter.Conflicts(conflicts)
	}
	if err != nil {
		s.reporter.Fault(err)
	}
}

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
	placer   Placer // of the members; nil: none
	learns   bool
	reporter Reporter

	// The changes of the record, kept here: a new one for each request would be garbage.
	admission  admission
	settlement settlement
}

// NewShared is the stage of these members, whose record cell loads. Learns says that a member needs the outcome of
// every request.
func NewShared(cell *sharedstate.Cell, record *sharedstate.Record, learns bool, r Reporter, members ...Member) *Shared {
	s := &Shared{cell: cell, record: record, members: members, learns: learns, reporter: r}
	for _, m := range members {
		if p, ok := m.(Placer); ok {
			s.placer = p
		}
	}
	return s
}

// admission is the change that admits an attempt. It implements sharedstate.Change.
type admission struct {
	members []Member
	cell    *sharedstate.Cell
	attempt *Attempt
	now     int64
	held    Held // by the attempt before
	verdict Verdict
	refused int // the member that refuses, -1: none
}

// Apply implements sharedstate.Change.
func (c *admission) Apply() sharedstate.Effect {
	c.attempt.Held, c.refused = c.held, -1
	placed := c.attempt.Placed
	before, effect := c.attempt.Record.Limit, sharedstate.Unchanged
	for i, m := range c.members {
		if c.verdict = m.Admit(c.attempt, c.now); c.verdict.Reason != fallback.None {
			c.refused = i
			if effect == sharedstate.Unchanged && c.verdict.Reason == fallback.CircuitOpen { // an open breaker changes nothing
				return sharedstate.Unchanged
			}
			return sharedstate.Dropped
		}
		if c.verdict.Changed {
			effect = sharedstate.Changed
		}
	}
	if c.attempt.Placed && !placed && !c.cell.Current() {
		// A worker that came after the record was loaded, and asked before this place was shown, is only seen now.
		return sharedstate.Stale
	}
	return moved(effect, before, c.attempt.Record)
}

// moved is the effect of a change that may have left the limit's states in other bytes, which last until the next change.
func moved(effect sharedstate.Effect, before []byte, r *sharedstate.Record) sharedstate.Effect {
	if effect == sharedstate.Unchanged && (len(before) != len(r.Limit) || len(before) > 0 && &before[0] != &r.Limit[0]) {
		return sharedstate.Dropped
	}
	return effect
}

// Admit implements Stage. A record that can't be changed refuses nothing.
func (s *Shared) Admit(a *Attempt, now int64) Verdict {
	c := &s.admission
	*c = admission{members: s.members, cell: s.cell, attempt: a, now: now, held: a.Held}
	a.Record = s.record
	conflicts, err := s.cell.Apply(c)
	c.attempt = nil
	s.report(conflicts, err)
	switch {
	case err != nil:
		a.Held, a.Retries, a.Moved = c.held, Retries{}, Transition{} // none of it is stored
		for i := range a.Limits {
			a.Limits[i].Verdict = ratelimit.Verdict{}
		}
		a.faulted |= 1 << a.admitted
		s.refused(a)
		return Verdict{}
	case c.refused >= 0:
		a.Held = c.held
		s.refused(a)
		v := c.verdict
		if v.Changed {
			s.repair(a, s.members[c.refused], now)
		}
		return v
	}
	for _, m := range s.members {
		m.Done(a, Settlement{}, true)
	}
	return Verdict{}
}

// refused gives back the place of an attempt that holds none.
func (s *Shared) refused(a *Attempt) {
	if s.placer != nil {
		s.placer.Refused(a)
	}
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

// settlement is the change that settles an attempt. It implements sharedstate.Change.
type settlement struct {
	members []Member
	attempt *Attempt
	with    Settlement
	now     int64
}

// Apply implements sharedstate.Change.
func (c *settlement) Apply() sharedstate.Effect {
	before, effect := c.attempt.Record.Limit, sharedstate.Unchanged
	for _, m := range c.members {
		if m.Settle(c.attempt, c.with, c.now) {
			effect = sharedstate.Changed
		}
	}
	return moved(effect, before, c.attempt.Record)
}

// Settle implements Stage.
func (s *Shared) Settle(a *Attempt, e Settlement, now int64) bool {
	if !a.needsSettling(e, s.learns) {
		return false
	}
	if !a.counts(e, s.learns) { // only a place is given back
		if s.placer == nil {
			return false
		}
		if !s.placer.Places() { // the record does not count it
			for _, m := range s.members {
				m.Done(a, e, true)
			}
			return true
		}
	}
	a.Record = s.record
	s.settlement = settlement{members: s.members, attempt: a, with: e, now: now}
	conflicts, err := s.cell.Apply(&s.settlement)
	s.settlement = settlement{}
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

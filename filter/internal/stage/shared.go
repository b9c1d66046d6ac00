package stage

import (
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate"
)

// Shared is the stages that keep their state in the cluster's record: all of them decide in one change of it, so a request
// that one refuses costs nothing with the others.
type Shared struct {
	cell     *sharedstate.Cell
	record   *sharedstate.Record
	members  []Member
	learns   bool
	reporter Reporter
}

// NewShared is the stage of these members, whose record cell loads. Learns says that a member wants the outcome of
// every request.
func NewShared(cell *sharedstate.Cell, record *sharedstate.Record, learns bool, r Reporter, members ...Member) *Shared {
	return &Shared{cell: cell, record: record, members: members, learns: learns, reporter: r}
}

// Admit implements Stage. A record that can't be changed refuses nothing.
func (s *Shared) Admit(c *Call, now int64) (v Verdict) {
	held, refused := c.Held, -1
	c.Record = s.record
	conflicts, err := s.cell.Update(func() (store bool) {
		c.Held, refused = held, -1
		for i, m := range s.members {
			if v = m.Admit(c, now); v.Reason != fallback.None {
				refused = i
				return false
			}
			store = store || v.Changed
		}
		return store
	})
	s.reporter.Conflicts(conflicts)
	switch {
	case err != nil:
		c.Held, c.faulted = held, true
		s.reporter.Fault(err)
		return Verdict{}
	case refused >= 0:
		c.Held = held
		if v.Changed {
			s.repair(c, s.members[refused], now)
		}
		return v
	}
	for _, m := range s.members {
		m.Done(c, nil, true)
	}
	return Verdict{}
}

// repair stores what a member repaired in the record while it refused, without the changes of the others: a limit whose
// times are of another clock counts from now on, or each refusal would begin its window anew.
func (s *Shared) repair(c *Call, m Member, now int64) {
	conflicts, err := s.cell.Update(func() bool {
		v := m.Admit(c, now)
		return v.Reason != fallback.None && v.Changed
	})
	s.reporter.Conflicts(conflicts)
	if err != nil {
		s.reporter.Fault(err)
	}
}

// Settle implements Stage.
func (s *Shared) Settle(c *Call, e *Settlement, now int64) bool {
	if c.faulted || !c.owes(e, s.learns) {
		return false
	}
	c.Record = s.record
	if e.Known {
		c.Held &^= HeldProbe | HeldRetries
	}
	if e.Over {
		c.Held &^= HeldPlace
	}
	conflicts, err := s.cell.Update(func() (store bool) {
		for _, m := range s.members {
			if m.Settle(c, e, now) {
				store = true
			}
		}
		return store
	})
	s.reporter.Conflicts(conflicts)
	if err != nil {
		s.reporter.Fault(err)
	}
	for _, m := range s.members {
		m.Done(c, e, err == nil)
	}
	return err == nil
}

// Package budget is the stage of the retry budget: it admits every request, and reserves the retries that the router
// may make of it.
package budget

import (
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/retry"
	"github.com/weir-mesh/weir/sharedstate"
)

// Stage implements stage.Member. It comes after the breaker: a probe has one attempt.
type Stage struct {
	budget retry.Budget
	router int    // retries that the router may make at most; 0: the filter makes them itself
	fresh  []byte // room for a record's first state
}

// New is the stage of a budget. Router is how many retries the router may make of one request.
func New(budget retry.Budget, router int) *Stage { return &Stage{budget: budget, router: router} }

// Admit implements stage.Stage: it counts a request's first attempt, and reserves the retries that the router may make.
func (s *Stage) Admit(a *stage.Attempt, now int64) stage.Verdict {
	if a.Later {
		return stage.Verdict{}
	}
	state := s.state(a.Record)
	s.budget.Request(state, now)
	a.Retries = stage.Retries{}
	if s.router > 0 && a.Retry && a.Held&stage.HeldProbe == 0 {
		a.Retries.Reserved = s.budget.Reserve(state, now, s.router)
		a.Retries.Denied = a.Retries.Reserved.Granted == 0
	}
	if a.Retries.Reserved.Granted > 0 {
		a.Held |= stage.HeldRetries
	}
	return stage.Verdict{Changed: true}
}

// Settle implements stage.Stage: retries that were reserved and not made return to the budget.
func (s *Stage) Settle(a *stage.Attempt, e stage.Settlement, now int64) (changed bool) {
	r := &a.Retries
	return e.Known && r.Reserved.Granted > 0 && s.budget.Usable(a.Record.Budget) &&
		s.budget.Settle(a.Record.Budget, now, r.Reserved, r.Made)
}

// Done implements stage.Member.
func (s *Stage) Done(a *stage.Attempt, e stage.Settlement, _ bool) {
	if e.Known {
		a.Retries.Reserved = retry.Reservation{}
	}
}

// state is the record's budget, made fresh where it can't be read.
func (s *Stage) state(r *sharedstate.Record) []byte {
	if !s.budget.Usable(r.Budget) {
		if s.fresh == nil {
			s.fresh = make([]byte, s.budget.Size())
		}
		s.budget.Reset(s.fresh)
		r.Budget = s.fresh
	}
	return r.Budget
}

// Remaining is how many retries could be made now, by a record as it was loaded.
func (s *Stage) Remaining(r *sharedstate.Record, now int64) int64 {
	return s.budget.Remaining(s.state(r), now)
}

// Withdraw takes one retry, which is sent now, and reports whether there was one. If so, the caller stores the record.
func (s *Stage) Withdraw(r *sharedstate.Record, now int64) bool {
	return s.budget.Withdraw(s.state(r), now)
}

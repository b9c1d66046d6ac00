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
	router int        // retries that the router may make at most; 0: the filter makes them itself
	fresh  []byte     // room for a record's first state
	part   retry.Part // what this worker has of the budget apart from the record

	// What the part is once the change of the record that decides about an attempt has ended, for Done.
	next    retry.Part
	decides *stage.Attempt
}

// New is the stage of a budget, for one of at most so many workers. Router is how many retries the router may make of one
// request.
func New(budget retry.Budget, router int, workers uint32) *Stage {
	return &Stage{budget: budget, router: router, part: retry.NewPart(workers)}
}

// Admit implements stage.Stage: it counts a request's first attempt, and reserves the retries that the router may make.
func (s *Stage) Admit(a *stage.Attempt, now int64) stage.Verdict {
	s.decides = nil
	if a.Later {
		return stage.Verdict{}
	}
	want := 0
	if s.router > 0 && a.Retry && a.Held&stage.HeldProbe == 0 {
		want = s.router
	}
	a.Retries = stage.Retries{}
	var changed bool
	s.next, a.Retries.Reserved, changed = s.budget.RequestBy(s.part, s.state(a.Record), now, want)
	s.decides = a
	if a.Retries.Reserved.Granted > 0 {
		a.Held |= stage.HeldRetries
	} else {
		a.Retries.Denied = want > 0
	}
	return stage.Verdict{Changed: changed}
}

// Settle implements stage.Stage: retries that were reserved and not made return to the budget.
func (s *Stage) Settle(a *stage.Attempt, e stage.Settlement, now int64) (changed bool) {
	r := &a.Retries
	if !e.Known || r.Reserved.Granted == 0 || !s.budget.Usable(a.Record.Budget) {
		return false
	}
	s.next, changed = s.budget.SettleBy(s.part, a.Record.Budget, now, r.Reserved, r.Made)
	s.decides = a
	return changed
}

// Done implements stage.Member.
func (s *Stage) Done(a *stage.Attempt, e stage.Settlement, stored bool) {
	if s.decides == a && stored {
		s.part = s.next
	}
	s.decides = nil
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

// Remaining is how many retries could be made now, by a record as it was loaded, which is not to be stored.
func (s *Stage) Remaining(r *sharedstate.Record, now int64) int64 {
	return s.budget.RemainingBy(s.part, s.state(r), now)
}

// Withdraw takes one retry, which is sent now, and reports whether there was one. If so, the caller stores the record and
// calls Withdrawn.
func (s *Stage) Withdraw(r *sharedstate.Record, now int64) (ok bool) {
	s.next, ok = s.budget.WithdrawBy(s.part, s.state(r), now)
	return ok
}

// Withdrawn notes that what the last Withdraw took is stored.
func (s *Stage) Withdrawn() { s.part = s.next }

package budget_test

import (
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/filter/internal/stage/budget"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/retry"
	"github.com/weir-mesh/weir/sharedstate"
)

const now = int64(100 * time.Second)

// fourRetries is a budget of 4 retries in its window of 10 s.
func fourRetries() retry.Budget { return retry.NewBudget(0, 0.4) }

func TestAdmitReservesForTheRouter(t *testing.T) {
	for _, tc := range []struct {
		name    string
		call    stage.Attempt
		router  int
		granted int
		denied  bool
		left    int64
		changed bool
	}{
		{"may be retried", stage.Attempt{Retry: true}, 3, 3, false, 1, true},
		{"more than the budget", stage.Attempt{Retry: true}, 9, 4, false, 0, true},
		{"may not be retried", stage.Attempt{}, 3, 0, false, 4, true},
		{"a probe", stage.Attempt{Retry: true, Held: stage.HeldProbe}, 3, 0, false, 4, true},
		{"the filter makes the retries", stage.Attempt{Retry: true}, 0, 0, false, 4, true},
		{"a retry of the filter's", stage.Attempt{Retry: true, Later: true}, 0, 0, false, 4, false},
	} {
		s, record := budget.New(fourRetries(), tc.router, 1), &sharedstate.Record{}
		c := tc.call
		c.Record = record
		if got := s.Admit(&c, now); got != (stage.Verdict{Changed: tc.changed}) {
			t.Errorf("%s: Admit = %+v, want it admitted, changed %v", tc.name, got, tc.changed)
		}
		held := c.Held&stage.HeldRetries != 0
		if got := c.Retries; got.Reserved.Granted != tc.granted || got.Denied != tc.denied || held != (tc.granted > 0) {
			t.Errorf("%s: got %+v, held %v; want %d granted, denied %v, held %v", tc.name, got, held, tc.granted, tc.denied, tc.granted > 0)
		}
		if got := s.Remaining(record, now); got != tc.left {
			t.Errorf("%s: Remaining = %d, want %d", tc.name, got, tc.left)
		}
	}
}

func TestSpentBudgetDeniesRetries(t *testing.T) {
	s, record := budget.New(fourRetries(), 4, 1), &sharedstate.Record{}
	s.Admit(&stage.Attempt{Retry: true, Record: record}, now)
	c := stage.Attempt{Retry: true, Record: record}
	if s.Admit(&c, now); !c.Retries.Denied || c.Held != 0 {
		t.Errorf("got denied %v, held %b; want true, none", c.Retries.Denied, c.Held)
	}
	if s.Withdraw(record, now) {
		t.Error("Withdraw: got true, want false: the budget is used up")
	}
}

func TestSettleReturnsWhatWasNotUsed(t *testing.T) {
	for _, tc := range []struct {
		name string
		made int
		stage.Settlement
		left    int64
		changed bool
	}{
		{"none made", 0, stage.Settlement{Known: true, Outcome: breaker.Success}, 4, true},
		{"one made", 1, stage.Settlement{Known: true, Outcome: breaker.Neither}, 3, true},
		{"the outcome is not known yet", 1, stage.Settlement{Over: true}, 1, false},
	} {
		s, record := budget.New(fourRetries(), 3, 1), &sharedstate.Record{}
		c := stage.Attempt{Retry: true, Record: record}
		s.Admit(&c, now)
		c.Retries.Made = tc.made
		if got := s.Settle(&c, tc.Settlement, now); got != tc.changed {
			t.Errorf("%s: Settle = %v, want %v", tc.name, got, tc.changed)
		}
		if got := s.Remaining(record, now); got != tc.left {
			t.Errorf("%s: Remaining = %d, want %d", tc.name, got, tc.left)
		}
	}
}

func TestWithdraw(t *testing.T) {
	s, record := budget.New(fourRetries(), 0, 1), &sharedstate.Record{}
	for i, want := range []bool{true, true, true, true, false} {
		got := s.Withdraw(record, now)
		if got != want {
			t.Errorf("Withdraw %d = %v, want %v", i+1, got, want)
		}
		if got {
			s.Withdrawn()
		}
	}
}

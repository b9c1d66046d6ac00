// Package breaker is the stage of the circuit breaker: policy/breaker on the cluster's record.
package breaker

import (
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
)

// Stage implements stage.Member.
type Stage struct {
	config   *breaker.Config
	failures *policy.Failures
	observer Observer
}

// Observer is notified of transitions: of each once, whatever the number of workers.
type Observer interface {
	Transition(from, to breaker.Status, cause string)
}

// New is the stage of a breaker. Failures describe an outcome in log lines.
func New(config *breaker.Config, failures *policy.Failures, o Observer) *Stage {
	return &Stage{config: config, failures: failures, observer: o}
}

// Admit implements stage.Stage.
func (s *Stage) Admit(a *stage.Attempt, now int64) stage.Verdict {
	state := &a.Record.Breaker
	v := state.Admit(s.config, now)
	if !v.Admitted {
		return stage.Verdict{Reason: fallback.CircuitOpen, Wait: v.RetryAfter}
	}
	a.Ticket = v.Ticket
	a.Moved = stage.Transition{}
	if v.Ticket.Slot >= 0 {
		a.Held |= stage.HeldProbe
	}
	if v.HalfOpened {
		a.Moved = stage.Transition{From: breaker.Open, To: breaker.HalfOpen, Cause: v.Cause()}
	}
	return stage.Verdict{Changed: state.Enter(&v, now)}
}

// Settle implements stage.Stage.
func (s *Stage) Settle(a *stage.Attempt, e stage.Settlement, now int64) (changed bool) {
	if !e.Known {
		return false
	}
	state := &a.Record.Breaker
	a.Moved.From = state.Status
	changed, a.Moved.Cause = state.Settle(s.config, a.Ticket, s.config.Call(e.Outcome, e.Took), now)
	a.Moved.To = state.Status
	return changed
}

// Done implements stage.Member.
func (s *Stage) Done(a *stage.Attempt, e stage.Settlement, stored bool) {
	if e.Accepted {
		a.Ticket.Accepted = true
	}
	moved := a.Moved
	a.Moved = stage.Transition{}
	if moved.Cause == breaker.NoTransition || !stored {
		return
	}
	cause := moved.Cause.String()
	if e.Ending != nil {
		cause += ", " + e.Ending.Cause(s.failures)
	}
	s.observer.Transition(moved.From, moved.To, cause)
}

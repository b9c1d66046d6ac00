package stage

import (
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
)

// Chain is a cluster's stages, in the order in which they admit.
type Chain struct {
	stages []Stage
	learns bool // a stage needs the outcome of every request
}

// NewChain is a chain of these stages. Learns says that one of them needs the outcome of every request, whatever the
// request holds: a breaker, an adaptive limit.
func NewChain(learns bool, stages ...Stage) *Chain { return &Chain{stages: stages, learns: learns} }

// Admit asks the stages in turn. If one refuses, the stages before it settle the attempt as Neither. If a verdict is
// Pending, the attempt waits until Resume.
func (ch *Chain) Admit(a *Attempt, now int64) Verdict {
	a.Ticket.Slot = -1
	return ch.ask(a, now)
}

// Resume continues with an attempt that waited, by the verdict of the stage that it waited for.
func (ch *Chain) Resume(a *Attempt, v Verdict, now int64) Verdict {
	a.queue = nil
	if v.Reason != fallback.None {
		ch.undo(a, now)
		return v
	}
	a.admitted++
	return ch.ask(a, now)
}

func (ch *Chain) ask(a *Attempt, now int64) Verdict {
	for int(a.admitted) < len(ch.stages) {
		v := ch.stages[a.admitted].Admit(a, now)
		switch {
		case v.Pending:
			return v
		case v.Reason != fallback.None:
			ch.undo(a, now)
			return v
		}
		a.admitted++
	}
	return Verdict{}
}

// undo gives back what earlier stages admitted of an attempt that a later one refuses.
func (ch *Chain) undo(a *Attempt, now int64) {
	ch.Settle(a, Settlement{Known: true, Outcome: breaker.Neither, Over: true}, now)
}

// Learns reports whether a stage needs the outcome of every request.
func (ch *Chain) Learns() bool { return ch.learns }

// Settle settles the attempt with each stage that admitted it. An outcome counts once: a second one changes nothing, but
// for the failure of a stream that was accepted. An attempt that is over no longer waits.
func (ch *Chain) Settle(a *Attempt, s Settlement, now int64) {
	if s.Over {
		a.StopWaiting()
	}
	if s.Known {
		before := a.settled
		s.Known = before == open || before == accepted && s.Outcome == breaker.Failure
		if a.settled = final; s.Accepted && before != final {
			a.settled = accepted
		}
	}
	if !a.needsSettling(s, ch.learns) {
		return
	}
	for i, stage := range ch.stages[:a.admitted] {
		if a.faulted&(1<<i) == 0 {
			stage.Settle(a, s, now)
		}
	}
	if s.Known {
		a.Held &^= HeldProbe | HeldRetries
	}
	if s.Over {
		a.Held &^= HeldPlace
	}
}

// needsSettling reports whether a settlement changes anything: it gives back what the attempt holds, or, with learns,
// its outcome counts.
func (a *Attempt) needsSettling(s Settlement, learns bool) bool {
	return a.counts(s, learns) || s.Over && a.Held&HeldPlace != 0
}

// counts reports whether a settlement's outcome changes anything.
func (a *Attempt) counts(s Settlement, learns bool) bool {
	return s.Known && (a.Held&(HeldProbe|HeldRetries) != 0 || learns && s.Outcome != breaker.Neither)
}

// StopWaiting removes an attempt from the queue in which it waits.
func (a *Attempt) StopWaiting() {
	if a.queue != nil {
		a.queue.Leave(a)
		a.queue = nil
	}
}

// Unsettled reports whether something of the attempt is still to be settled, given back or waited for.
func (ch *Chain) Unsettled(a *Attempt) bool {
	return a.queue != nil || a.Held != 0 || ch.learns && a.admitted > 0 && a.settled != final
}

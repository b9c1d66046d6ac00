package stage

import (
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
)

// Chain is a cluster's stages, in the order in which they are asked.
type Chain struct {
	stages []Stage
	learns bool // a stage wants to know the outcome of every request
}

// NewChain is a chain of these stages. Learns says that one of them wants the outcome of every request, whatever the
// request holds: a breaker, an adaptive limit.
func NewChain(learns bool, stages ...Stage) *Chain { return &Chain{stages: stages, learns: learns} }

// Admit asks the stages in turn. If one refuses, what the ones before it had admitted is settled as Neither. If one
// answers Pending, the call waits: Resume goes on with it.
func (ch *Chain) Admit(c *Call, now int64) Verdict {
	c.Ticket.Slot = -1
	return ch.ask(c, now)
}

// Resume goes on with a call that waited, by the verdict of the stage that it waited for.
func (ch *Chain) Resume(c *Call, v Verdict, now int64) Verdict {
	c.queue = nil
	if v.Reason != fallback.None {
		ch.undo(c, now)
		return v
	}
	c.admitted++
	return ch.ask(c, now)
}

func (ch *Chain) ask(c *Call, now int64) Verdict {
	for c.admitted < len(ch.stages) {
		v := ch.stages[c.admitted].Admit(c, now)
		switch {
		case v.Pending:
			return v
		case v.Reason != fallback.None:
			ch.undo(c, now)
			return v
		}
		c.admitted++
	}
	return Verdict{}
}

// undo gives back what a call holds that is refused after all.
func (ch *Chain) undo(c *Call, now int64) {
	ch.Settle(c, Settlement{Known: true, Outcome: breaker.Neither, Over: true}, now)
}

// Settle tells each stage that admitted the call what became of it. An outcome counts once: a second one changes
// nothing. A call that is over no longer waits.
func (ch *Chain) Settle(c *Call, s Settlement, now int64) {
	if s.Over {
		c.StopWaiting()
	}
	s.Known = s.Known && !c.settled
	c.settled = c.settled || s.Known
	c.settlement = s // the stages get a pointer, which would have the settlement allocated
	if !c.owes(&s, ch.learns) {
		return
	}
	for _, stage := range ch.stages[:c.admitted] {
		stage.Settle(c, &c.settlement, now)
	}
}

// owes reports whether a settlement is of interest to stages that learn from every outcome, or not.
func (c *Call) owes(s *Settlement, learns bool) bool {
	return s.Known && (c.Held&(HeldProbe|HeldRetries) != 0 || learns && s.Outcome != breaker.Neither) ||
		s.Over && c.Held&HeldPlace != 0
}

// StopWaiting lets a call go on without the stage that it waits for.
func (c *Call) StopWaiting() {
	if c.queue != nil {
		c.queue.Leave(c)
		c.queue = nil
	}
}

// Open reports whether something of the call is still to be settled, given back or waited for.
func (ch *Chain) Open(c *Call) bool {
	return c.queue != nil || c.Held != 0 || ch.learns && c.admitted > 0 && !c.settled
}

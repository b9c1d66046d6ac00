// Package breaker is a circuit breaker as a pure state machine over a small value. Time is an argument, in nanoseconds
// of a monotonic clock, and the caller stores the state, so that all workers of a proxy can share one breaker by
// compare-and-swap.
//
//	           FailureThreshold consecutive failures,
//	           or FailureRate, or SlowCalls is reached
//	┌────────┐ ─────────────────────────────────────► ┌────────┐
//	│ closed │                                        │  open  │ ◄──┐
//	└────────┘                                        └────────┘    │
//	     ▲                                                │         │ a probe fails, or is slow:
//	     │ SuccessThreshold                               │         │ the wait doubles, up to
//	     │ consecutive          ┌───────────┐  the wait   │         │ MaxRecovery
//	     └───────────────────── │ half-open │ ◄───────────┘         │
//	       successes            └───────────┘  is over              │
//	                                  └─────────────────────────────┘
//
// Half-open, at most Config.Probes requests run at a time. Each holds a place with an expiry, so that a probe whose
// worker crashed gives it back. Every transition starts a new generation with nothing counted; an outcome of an
// earlier one is ignored (sony/gobreaker has the same rule).
//
// A request's way through it, each half inside one compare-and-swap:
//
//	v := s.Admit(c, now)                           reads only: another check may still refuse the request
//	s.Enter(&v, now)                               it goes on; store s where this says that it changed
//	…
//	s.Settle(c, v.Ticket, c.Call(outcome, took), now)   its end; store s where this says that it changed
//
// The rates look at the calls that ended within a Window, a ring of eleven buckets of a tenth of its length each:
//
//	      a call counts for at least ten tenths, and less than eleven
//	├────┼────┼────┼────┼────┼────┼────┼────┼────┼────┼──┄
//	└ the eleventh bucket is emptied when it gets to be the newest    └ now: the newest, still filling
//
// A rate is looked at when a call ends, be it a success (as resilience4j does): it opens the breaker where at least
// MinCalls are counted and their share that failed, or was slow, is Threshold or more.
package breaker

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
// Half-open, at most Config.Probes requests run at a time. Each takes a slot with an expiry, so that the slot of a
// probe whose worker crashed becomes free. Every transition starts a new generation with nothing counted; an outcome of
// an earlier generation is ignored (sony/gobreaker has the same rule).
//
// A request makes three calls, the first two in one compare-and-swap and the last in another:
//
//	v := s.Admit(c, now)                                  reads only: another stage may still refuse the request
//	s.Enter(&v, now)                                      no stage refused it; store s if this reports a change
//	…
//	s.Settle(c, v.Ticket, c.Call(outcome, took), now)     it ended; store s if this reports a change
//
// The rates count the calls that ended within a Window, a ring of eleven buckets, each a tenth of its length:
//
//	      a call counts for at least ten tenths, and less than eleven
//	├────┼────┼────┼────┼────┼────┼────┼────┼────┼────┼──┄
//	└ the oldest bucket is emptied and becomes the newest              └ now: the newest, still filling
//
// Plugins with windows of different lengths share a state too, see Windows.
//
// A rate is looked at when a call ends, also if it was a success (as in resilience4j): it opens the breaker if at least
// MinCalls are counted and the share of them that failed, or was slow, is Threshold or more.
package breaker

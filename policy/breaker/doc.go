// Package breaker is a circuit breaker as a pure state machine: values in, values out. Time is an argument, and the
// caller stores the state, so that all workers of a proxy can share one breaker by compare-and-swap.
//
//	           FailureThreshold consecutive failures
//	┌────────┐ ─────────────────────────────────────► ┌────────┐
//	│ closed │                                        │  open  │ ◄──┐
//	└────────┘                                        └────────┘    │
//	     ▲                                                │         │ a probe fails:
//	     │ SuccessThreshold                               │         │ the wait doubles,
//	     │ consecutive          ┌───────────┐  the wait   │         │ up to MaxRecovery
//	     └───────────────────── │ half-open │ ◄───────────┘         │
//	       successes            └───────────┘  is over              │
//	                                  └─────────────────────────────┘
//
// Half-open, at most MaxProbes requests run at a time. Each holds a place with an expiry, so that a probe whose
// worker crashed gives it back. Every transition starts a new generation; an outcome of an earlier one is ignored
// (sony/gobreaker has the same rule).
package breaker

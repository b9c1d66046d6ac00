// Package ratelimit holds the limits' algorithms as pure functions: (state, config, now, n) → (state, verdict). Time
// is an argument, in nanoseconds of a monotonic clock; the caller stores the state when it changed.
//
// Token bucket, the reservoir form: a level of tokens and the time at which it was true.
//
//	  refill: Rate tokens a second, never above Burst
//	    │
//	┌───▼───┐
//	│ ● ● ● │ Level          a request takes its cost when the level has it,
//	└───┬───┘                else it is refused and takes nothing
//	    ▼
//
// In an interval of length T no more is taken than was in it at its start (at most Burst) and what came in meanwhile
// (at most Rate x T): Burst + Rate x T. Amounts are whole nano-tokens and each refill is rounded down, so
// rounding never adds to it.
package ratelimit

// Package ratelimit has the algorithms of rate limits as pure functions over bytes. A Limiter is a policy's numbers,
// compiled; a limit's state is a small region of bytes (drawn in state.go) that Take changes in place and the caller
// stores if the Verdict says so. Time is an argument, in nanoseconds of a monotonic clock.
//
//	             ┌───────────┐   now, n
//	policy ────► │  Limiter  │ ◄──────────
//	             └─────┬─────┘
//	state ─► Usable? ──┤ yes: Take ──► Verdict{Admitted, Store, Remaining, RetryAfter, Reset}
//	                   └ no: Adopt its usage, or Reset
//
// # Token bucket
//
// The reservoir form: a level of tokens and the time at which it was true.
//
//	  refill: Rate tokens a second, never above Burst
//	    │
//	┌───▼───┐
//	│ ● ● ● │ Level          a request takes its cost when the level has it,
//	└───┬───┘                else it is refused and takes nothing
//	    ▼
//
// In an interval of length T at most Burst + Rate x T are taken: what was in the bucket at its start (at most Burst)
// and what was refilled meanwhile (at most Rate x T). Amounts are whole nano-tokens and each refill is rounded down, so
// rounding never admits more.
//
// # Sliding window
//
// No interval as long as the window, wherever it starts, admits more than the limit. Up to 512 requests each
// admission's time is kept:
//
//	    over │◄───────── window ─────────►│
//	──●──●───┼──●────●●───────●───●───────┼──► time
//	         │  └─ the next to expire    now      used: 5
//
// Above, admissions are counted by 64ths of the window. One counts until it has certainly expired, which is up to a
// 64th of the window too long and never too short:
//
//	    over │◄───────── window ─────────►│
//	─┬────┬──┼─┬────┬────┬─ … ─┬────┬────┬┼──► time
//	 │  9 │  7 │  0 │ 12 │     │ 31 │  4 ││
//	      └ counts as a whole            now
//
// # Leases
//
// Of a bucket or of sub-windows a worker may take several requests at once, to be used later, see lease.go.
//
// # Adaptive
//
// A sliding window whose limit moves with the success rate of what it admitted, at each evaluation:
//
//	limit      ─┐        ┌─ never above
//	            └┐     ┌─┘       x Recovery at or above the threshold
//	             └┐  ┌─┘
//	limit / 10    └──┘           x Backoff below it, never under a tenth
package ratelimit

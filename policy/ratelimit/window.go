package ratelimit

import (
	"time"

	"github.com/weir-mesh/weir/policy/packed"
)

// entries is how a window remembers its admissions. t is never before the state's last, and in each call of a Take the
// same. used and oldest are what counted found; oldest is for the entries alone to understand.
type entries interface {
	// counted is what is used at t.
	counted(state []byte, t int64) (used, oldest int64)
	// admit adds n requests at t and lets go of what is older than oldest.
	admit(state []byte, t, used, oldest, n int64)
	// frees is the time at which k of those that are used at t, the oldest, are used no more; k is 1 to used.
	frees(state []byte, t, oldest, k int64) int64
	// empties is the time at which a request that is admitted at t is used no more.
	empties(t int64) int64
	// drop lets go of the k oldest of those that are used.
	drop(state []byte, t, used, oldest, k int64) (int64, int64)
	// uses appends all that the entries know, the oldest first, none dated before it was.
	uses(state []byte, known []use) []use
}

// use is a number of requests that were admitted no later than at.
type use struct{ at, n int64 }

func (l *Limiter) takeWindow(state []byte, now, n int64) Verdict {
	v := Verdict{Store: l.foreign(state, now)}
	if v.Store {
		l.repair(state, now)
	}
	t := max(now, packed.I64(state, atLast))
	limit := l.holds(state, t)
	used, oldest := l.entries.counted(state, t)
	switch {
	case used+n <= limit:
		v.Admitted, v.Store = true, true
		if l.adaptive != nil && l.adaptive.forgotten(state, t) {
			l.adaptive.reset(state)
		}
		l.entries.admit(state, t, used, oldest, n)
		used += n
	case n <= limit:
		v.RetryAfter = time.Duration(max(l.entries.frees(state, t, oldest, used+n-limit)-now, 0))
	default:
		v.RetryAfter = time.Duration(l.window)
	}
	v.Remaining = max(limit-used, 0)
	if used > 0 {
		v.Reset = time.Duration(max(l.entries.empties(packed.I64(state, atLast))-now, 0))
	}
	if v.Store {
		l.seal(state)
	}
	return v
}

// holds is the limit that holds at t.
func (l *Limiter) holds(state []byte, t int64) int64 {
	if l.adaptive == nil {
		return l.limit
	}
	return l.adaptive.holds(state, t)
}

// usedAt is what is used at time now, and the moment that this is worked out for.
func (l *Limiter) usedAt(state []byte, now int64) (used, t int64) {
	if l.foreign(state, now) {
		return packed.U32(state, atUsed), now
	}
	t = max(now, packed.I64(state, atLast))
	used, _ = l.entries.counted(state, t)
	return used, t
}

// foreign says whether the state's times can't be of this clock.
func (l *Limiter) foreign(state []byte, now int64) bool {
	return packed.I64(state, atLast)-now > l.window
}

// repair makes what a state of another clock counts used just now.
func (l *Limiter) repair(state []byte, now int64) {
	used := min(packed.U32(state, atUsed), l.limit)
	clear(state[atLast:windowFixed])
	clear(state[l.fixed:])
	if used > 0 {
		l.entries.admit(state, now, 0, 0, used)
	}
}

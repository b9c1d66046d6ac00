package ratelimit

import (
	"time"

	"github.com/weir-mesh/weir/policy/packed"
)

// entries is how a window keeps its admissions. t is never before the state's last, and the same in all calls of one
// Take. used and oldest are the results of counted; the meaning of oldest is private to the implementation.
type entries interface {
	// counted is the number of requests used at t.
	counted(state []byte, t int64) (used, oldest int64)
	// admit adds n requests at t and drops what is older than oldest.
	admit(state []byte, t, used, oldest, n int64)
	// frees is the time at which the k oldest of the requests used at t have expired; k is 1 to used.
	frees(state []byte, t, oldest, k int64) int64
	// empties is the time at which a request admitted at t expires.
	empties(t int64) int64
	// drop drops the k oldest of the used requests.
	drop(state []byte, t, used, oldest, k int64) (int64, int64)
	// shared is the place of the last admission, and until when requests may be admitted in advance there: they count as long as
	// those that are admitted then. 0: they may not.
	shared(state []byte) (place, until int64)
	// giveBack takes n requests out of a place, and reports whether there were any.
	giveBack(state []byte, place, n int64) (changed bool)
	// uses appends all requests, the oldest first, each with its time or a later one.
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
	limit := l.limitAt(state, t)
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

// limitAt is the limit at t.
func (l *Limiter) limitAt(state []byte, t int64) int64 {
	if l.adaptive == nil {
		return l.limit
	}
	return l.adaptive.limitAt(state, t)
}

// usedAt is the number of requests used at time now, and the time t for which it was computed.
func (l *Limiter) usedAt(state []byte, now int64) (used, t int64) {
	if l.foreign(state, now) {
		return packed.U32(state, atUsed), now
	}
	t = max(now, packed.I64(state, atLast))
	used, _ = l.entries.counted(state, t)
	return used, t
}

// foreign reports whether the state's times can't be of this clock.
func (l *Limiter) foreign(state []byte, now int64) bool {
	return packed.I64(state, atLast)-now > l.window
}

// repair makes the requests of a foreign state count as used just now.
func (l *Limiter) repair(state []byte, now int64) {
	used := min(packed.U32(state, atUsed), l.limit)
	clear(state[atLast:windowFixed])
	clear(state[l.fixed:])
	if used > 0 {
		l.entries.admit(state, now, 0, 0, used)
	}
}

package ratelimit

import (
	"slices"

	"github.com/weir-mesh/weir/policy/fixedpoint"
	"github.com/weir-mesh/weir/policy/packed"
)

// Adopt initializes state, of this limit, with the usage in old, a state of another limit, so that a reloaded policy
// gives no free burst. If old is not a usable state of any limit, state becomes a fresh one. The two must not overlap.
//
// From window to window each admission keeps its time, or gets a later one: any (new) window after the change has at
// most the new limit of admissions, those in old included. From bucket to bucket the tokens that are missing stay
// missing: an interval that spans the change admits at most the larger burst + the larger rate x its length. A longer
// window reaches back to before what old remembers, and between a bucket and a window single admissions are not known.
// Then at least as much of the new limit is used as of the old one, both as a share and in requests:
//
//	left' <= limit' - used    left' / limit' <= left / limit
//
// What was taken from a bucket counts in a window as used at the bucket's last use, the latest possible time.
//
// An adaptive limit keeps its current limit, in proportion, and its counts of outcomes.
func (l *Limiter) Adopt(state, old []byte, now int64) {
	if l.Usable(old) {
		copy(state, old)
		return
	}
	l.Reset(state)
	from, ok := fromState(old)
	if !ok {
		return
	}
	now = clampTime(now)
	if l.kind == kindBucket {
		l.adoptLevel(state, &from, old, now)
	} else {
		for _, u := range l.usesIn(&from, old, now) {
			l.load(state, u)
		}
	}
	if l.adaptive != nil && from.adaptive != nil {
		current := fixedpoint.MulDiv(packed.I64(old, atCurrent), l.limit, from.limit)
		copy(state[atCurrent:adaptiveFixed], old[atCurrent:adaptiveFixed])
		packed.PutI64(state, atCurrent, min(max(current, l.adaptive.lowest), l.adaptive.highest))
	}
	l.seal(state)
}

// adoptLevel takes what old has used from a full bucket.
func (l *Limiter) adoptLevel(state []byte, from *Limiter, old []byte, now int64) {
	var missing int64
	b := Bucket{At: now}
	if from.kind == kindBucket {
		b, _ = from.bucket.refill(loadBucket(old), now)
		missing = from.bucket.capacity - b.Level
	} else {
		_, used := from.Current(old, now)
		missing = used * fixedpoint.Nano
	}
	if missing == 0 {
		return
	}
	if from.kind != kindBucket {
		used, limit := from.usedShare(old, now)
		missing = max(missing, fixedpoint.MulDivUp(l.bucket.capacity, used, limit))
	}
	l.storeBucket(state, Bucket{Level: max(l.bucket.capacity-missing, 0), At: b.At})
}

// usesIn returns the uses in old, a state of the limit from, as the window l must count them, the oldest first.
func (l *Limiter) usesIn(from *Limiter, old []byte, now int64) []use {
	part, whole := from.usedShare(old, now)
	shared := fixedpoint.MulDivUp(l.limit, part, whole)
	if from.kind == kindBucket {
		b := loadBucket(old)
		if b.At == 0 {
			return nil
		}
		used := max(shared, ceilDiv(from.bucket.capacity-b.Level, fixedpoint.Nano))
		if b.At-now > from.bucket.fill {
			b.At = now
		}
		return []use{{at: b.At, n: used}}
	}
	used, t := from.usedAt(old, now)
	if from.foreign(old, now) {
		return []use{{at: t, n: max(used, shared)}}
	}
	known := from.entries.uses(old, nil)
	if l.window <= from.window {
		return known
	}
	// The rest of the share are requests that old has dropped: they are at least a window of its own old.
	expired := max(t-from.window, 1)
	i := slices.IndexFunc(known, func(u use) bool { return u.at > expired })
	if i < 0 {
		i = len(known)
	}
	for _, u := range known[:i] {
		if u.at > t-l.window { // else the new window drops it as well
			shared -= u.n
		}
	}
	return slices.Insert(known, i, use{at: expired, n: shared - used})
}

// usedShare is the used part of the current limit, as a fraction.
func (l *Limiter) usedShare(state []byte, now int64) (part, whole int64) {
	if l.kind == kindBucket {
		b, _ := l.bucket.refill(loadBucket(state), now)
		return l.bucket.capacity - b.Level, l.bucket.capacity
	}
	limit, used := l.Current(state, now)
	return min(used, limit), limit
}

// load adds a use to a window that has only older ones. Of more than the limit only the newest count: the next request
// must wait for the same one to expire.
func (l *Limiter) load(state []byte, u use) {
	n := min(u.n, l.limit)
	if n <= 0 {
		return
	}
	t := max(u.at, packed.I64(state, atLast), 1) // torn entries can be in any order
	used, oldest := l.entries.counted(state, t)
	if over := used + n - l.limit; over > 0 {
		used, oldest = l.entries.drop(state, t, used, oldest, over)
	}
	l.entries.admit(state, t, used, oldest, n)
}

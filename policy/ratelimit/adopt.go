package ratelimit

import (
	"slices"

	"github.com/weir-mesh/weir/policy/fixedpoint"
	"github.com/weir-mesh/weir/policy/packed"
)

// Adopt makes state a state of this limit that knows what old, a state of another limit, knows of use, so that a policy
// that is loaded anew gives no free burst. An old that is no usable state of any limit leaves state fresh. The two do
// not overlap.
//
// Between windows each admission keeps its time, never dated earlier than it was: an admission after the change finds
// itself, those before it and those that old knew in the last (new) window to be no more than the new limit. Where a window
// became longer it reaches back to where old knows nothing, and a bucket knows no single times. Then the new limit is at
// least as used as the old was, as a share and in requests:
//
//	left' <= limit' - used    left' / limit' <= left / limit
//
// What a bucket had given counts in a window as used when the bucket was last, the latest that it can have been. Between
// buckets an interval that spans the change admits no more than the larger burst and the larger rate x its length.
//
// An adaptive limit keeps its current limit, in proportion, and what it has counted.
func (l *Limiter) Adopt(state, old []byte, now int64) {
	if l.Usable(old) {
		copy(state, old)
		return
	}
	l.Reset(state)
	from, ok := described(old)
	if !ok {
		return
	}
	now = heldTime(now)
	if l.kind == kindBucket {
		l.adoptLevel(state, &from, old, now)
	} else {
		for _, u := range l.knownTo(&from, old, now) {
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

// adoptLevel takes from a full bucket what old has used.
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
	used, limit := from.usedShare(old, now)
	missing = max(missing, fixedpoint.MulDivUp(l.bucket.capacity, used, limit))
	l.storeBucket(state, Bucket{Level: max(l.bucket.capacity-missing, 0), At: b.At})
}

// knownTo is what old knows of use, for the window l, the oldest first.
func (l *Limiter) knownTo(from *Limiter, old []byte, now int64) []use {
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
	// The missing part of the share are requests that old has let go of: they were a window of its own ago, or longer.
	gone := max(t-from.window, 1)
	i := slices.IndexFunc(known, func(u use) bool { return u.at > gone })
	if i < 0 {
		i = len(known)
	}
	for _, u := range known[:i] {
		if u.at > t-l.window { // else the new window has let go of it, too, and it stands for nothing
			shared -= u.n
		}
	}
	return slices.Insert(known, i, use{at: gone, n: shared - used})
}

// usedShare is what is used of the limit that holds, as a fraction.
func (l *Limiter) usedShare(state []byte, now int64) (part, whole int64) {
	if l.kind == kindBucket {
		b, _ := l.bucket.refill(loadBucket(state), now)
		return l.bucket.capacity - b.Level, l.bucket.capacity
	}
	limit, used := l.Current(state, now)
	return min(used, limit), limit
}

// load puts a use into a window that knows only older ones. Of more than the limit the newest count: another request
// has to wait for the same one to be over.
func (l *Limiter) load(state []byte, u use) {
	n := min(u.n, l.limit)
	if n <= 0 {
		return
	}
	t := max(u.at, packed.I64(state, atLast), 1) // torn entries may be in any order
	used, oldest := l.entries.counted(state, t)
	if over := used + n - l.limit; over > 0 {
		used, oldest = l.entries.drop(state, t, used, oldest, over)
	}
	l.entries.admit(state, t, used, oldest, n)
}

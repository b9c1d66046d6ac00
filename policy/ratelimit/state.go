package ratelimit

import (
	"github.com/weir-mesh/weir/policy/fixedpoint"
	"github.com/weir-mesh/weir/policy/packed"
)

// A limit's state is a region of bytes that is changed in place. Its size is fixed for a Limiter, a multiple of 8, and
// it describes itself. Little endian; times are nanoseconds of a monotonic clock, 0 is never.
//
//	 0  u8   version
//	 1  u8   kind: 1 token bucket, 2 log, 3 sub-windows
//	 2  u8   1: an adaptive part follows, 0: none
//	 3  u8   0, see views.go
//	 4  u32  check over all bytes before the entries, see package packed
//	 8  i64  limit, requests       │ token bucket: capacity, nano-tokens
//	16  i64  window                │ token bucket: rate, micro-tokens a second
//
//	token bucket                     log and sub-windows
//	24  i64  level, nano-tokens      24  i64  last: time of the last admission
//	32  i64  time of the level       32  u32  used: what was counted at that time
//	40  u32  leased, see Bucket      36  u32  log: place of the oldest entry; sub-windows: 0
//	44  u32  leased before
//
//	                                 adaptive part
//	                                 40  i64  current limit, milli-requests
//	                                 48  i64  since: when the counting of outcomes began
//	                                 56  i64  time of the last outcome
//	                                 64  u32  outcomes counted
//	                                 68  u32  … of them successes
//	                                 72  u32  success rate of the last evaluation, millionths + 1; 0: none yet
//	                                 76  u32  0
//
//	                                 40 or 80: the entries
//	                                 log          u32 x limit  ticks, see log
//	                                 sub-windows  u32 x 65     counts, see subWindows
//
// The check leaves the entries out: whatever they contain, a limit only counts wrongly, for a window at most.
const (
	stateVersion = 2

	kindBucket     = 1
	kindLog        = 2
	kindSubWindows = 3

	atKind       = 1
	atAdaptive   = 2
	atUsedMinute = 3
	atLimit      = 8
	atWindow     = 16

	atLevel        = 24
	atLevelAt      = 32
	atLeased       = 40
	atLeasedBefore = 44

	atLast   = 24
	atUsed   = 32
	atOldest = 36

	atCurrent     = 40
	atSince       = 48
	atLastOutcome = 56
	atOutcomes    = 64
	atSuccesses   = 68
	atRatio       = 72

	bucketSize    = 48
	windowFixed   = 40
	adaptiveFixed = 80
)

// Size is the number of bytes of the limit's state.
func (l *Limiter) Size() int { return l.size }

// Reset makes the state a fresh one. len(state) is Size.
func (l *Limiter) Reset(state []byte) {
	clear(state)
	state[0] = stateVersion
	state[atKind] = l.kind
	if l.adaptive != nil {
		state[atAdaptive] = 1
	}
	packed.PutI64(state, atLimit, l.limit)
	packed.PutI64(state, atWindow, l.window)
	switch {
	case l.kind == kindBucket:
		packed.PutI64(state, atLevel, l.bucket.capacity)
	case l.adaptive != nil:
		l.adaptive.reset(state)
	}
	l.seal(state)
}

// Usable reports whether these bytes are a valid state of this limit, with its size, version, kind and numbers. An
// older version, a torn record or other bytes are not; they are treated as fresh (Reset). A state of another limit is
// not either: Adopt takes over its usage.
func (l *Limiter) Usable(state []byte) bool {
	if len(state) != l.size || state[0] != stateVersion || state[atKind] != l.kind ||
		(state[atAdaptive] == 1) != (l.adaptive != nil) || state[atAdaptive] > 1 ||
		packed.I64(state, atLimit) != l.limit || packed.I64(state, atWindow) != l.window ||
		!packed.Sealed(state[:l.fixed]) {
		return false
	}
	if l.kind == kindBucket {
		level, at := packed.I64(state, atLevel), packed.I64(state, atLevelAt)
		return level >= 0 && level <= l.bucket.capacity && at >= 0 && at <= longest &&
			packed.U32(state, atLeased)+packed.U32(state, atLeasedBefore) <= l.bucket.mostLeased()
	}
	last, used, oldest := packed.I64(state, atLast), packed.U32(state, atUsed), packed.U32(state, atOldest)
	if last < 0 || last > longest || used > l.limit || (last == 0 && used != 0) ||
		(l.kind == kindLog && oldest >= l.limit) || (l.kind == kindSubWindows && oldest != 0) {
		return false
	}
	return l.adaptive == nil || l.adaptive.usable(state)
}

// seal writes the check, after each change.
func (l *Limiter) seal(state []byte) { packed.Seal(state[:l.fixed]) }

// fromState returns the limit that a state is of, without the factors of an adaptive one: enough to read the state.
func fromState(state []byte) (l Limiter, ok bool) {
	l, ok = limiterOf(state)
	return l, ok && l.Usable(state)
}

// limiterOf returns the limit that the state at the start of these bytes is of, as fromState.
func limiterOf(state []byte) (l Limiter, ok bool) {
	if len(state) < bucketSize {
		return Limiter{}, false
	}
	limit, span := packed.I64(state, atLimit), packed.I64(state, atWindow)
	switch state[atKind] {
	case kindBucket:
		if limit < fixedpoint.Nano || limit > maxBurst*fixedpoint.Nano || span < 1 || span > maxRefill*fixedpoint.Micro {
			return Limiter{}, false
		}
		return bucketLimiter(BucketConfig{capacity: limit, rate: span}), true
	case kindLog, kindSubWindows:
		if limit < 1 || limit > maxLimit || span < 1 || span > maxWindow {
			return Limiter{}, false
		}
		var a *adaptive
		if state[atAdaptive] == 1 {
			a = newAdaptive(limit, span, AdaptiveConfig{Interval: maxWindow}) // it forgets after a day
		}
		return windowLimiter(limit, span, a), true
	default:
		return Limiter{}, false
	}
}

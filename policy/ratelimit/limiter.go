package ratelimit

import (
	"time"

	"github.com/weir-mesh/weir/policy/fixedpoint"
	"github.com/weir-mesh/weir/policy/packed"
)

// Limiter is one compiled limit: its algorithm and its numbers. It is read-only; what a limit counts is in a state,
// bytes that the caller keeps (see state.go). The zero Limiter can't be used.
//
// The methods that take a state need one that Usable accepts, or that Reset or Adopt made. They allocate nothing. now
// is a reading of a monotonic clock, in nanoseconds, greater than 0. Workers may call in another order than they read
// the clock: a time before the last admission counts as the time of that. A state whose times are further ahead than
// the window is of another clock ("foreign"). Its requests then count as used just now: that neither opens the limit
// nor locks it for longer than a window.
type Limiter struct {
	kind     byte
	size     int // bytes of a state
	fixed    int // … before the entries
	limit    int64
	window   int64
	bucket   BucketConfig
	entries  entries
	adaptive *adaptive // nil: the limit does not move
}

// The bounds to which a limit's numbers are clamped; the policy allows less.
const (
	maxBurst  = 1e6
	maxRefill = 1e6
	maxLimit  = 1<<31 - 1
	maxWindow = 1 << 58 // ns, nine years
	maxCost   = 1e9
)

// NewTokenBucket is a bucket of burst tokens (1 to 1e6) that gets refill tokens a second (1e-6 to 1e6). No interval of
// length T admits more than burst + refill x T.
func NewTokenBucket(burst int64, refill float64) *Limiter {
	l := bucketLimiter(NewBucketConfig(min(max(burst, 1), maxBurst), min(max(refill, 1e-6), maxRefill)))
	return &l
}

// NewSlidingWindow admits limit requests (1 to 2^31 - 1) in each window: no interval of that length, wherever it
// starts, admits more. Intervals are half-open, two admissions exactly a window apart are not together. Up to 512
// requests it is exact to a tick of window / 2^30; above, a request counts for up to window / 64 longer.
func NewSlidingWindow(limit int64, window time.Duration) *Limiter {
	l := windowLimiter(clampLimit(limit), clampWindow(window), nil)
	return &l
}

// NewAdaptive is a sliding window whose limit moves with the success rate, see AdaptiveConfig.
func NewAdaptive(limit int64, window time.Duration, c AdaptiveConfig) *Limiter {
	n, w := clampLimit(limit), clampWindow(window)
	l := windowLimiter(n, w, newAdaptive(n, w, c))
	return &l
}

func clampLimit(limit int64) int64           { return min(max(limit, 1), maxLimit) }
func clampWindow(window time.Duration) int64 { return min(max(int64(window), 1), maxWindow) }

// clampTime keeps sums of a time and a window within 63 bits.
func clampTime(now int64) int64 { return min(max(now, 1), longest) }

func bucketLimiter(c BucketConfig) Limiter {
	c.fill = int64(c.after(c.capacity))
	return Limiter{kind: kindBucket, size: bucketSize, fixed: bucketSize, limit: c.capacity, window: c.rate, bucket: c}
}

func windowLimiter(limit, window int64, a *adaptive) Limiter {
	l := Limiter{kind: kindLog, fixed: windowFixed, limit: limit, window: window, adaptive: a}
	if a != nil {
		l.fixed = adaptiveFixed
	}
	if limit <= maxLog {
		l.entries = newLog(l.fixed, limit, window)
		l.size = l.fixed + int(limit+limit%2)*4
	} else {
		l.kind = kindSubWindows
		l.entries = newSubWindows(l.fixed, window)
		l.size = l.fixed + (subWindowCount+subWindowCount%2)*4
	}
	return l
}

// Take asks for n requests (less than 1 counts as 1) at time now. A refusal takes nothing; state is changed only if the
// verdict says Store. A cost of more than the limit is never admitted: RetryAfter is then the window, or the time in
// which a bucket would get as many tokens.
func (l *Limiter) Take(state []byte, now, n int64) Verdict {
	now, n = clampTime(now), min(max(n, 1), maxCost)
	if l.kind != kindBucket {
		return l.takeWindow(state, now, n)
	}
	b, v := l.bucket.Take(loadBucket(state), now, n)
	if v.Store {
		l.storeBucket(state, b)
	}
	return v
}

// Idle reports whether the state is at time now, and from then on, no different from a fresh one: its memory can be
// used for another key. (An adaptive limit becomes idle when it forgets its current limit, see AdaptiveConfig.)
func (l *Limiter) Idle(state []byte, now int64) bool {
	now = clampTime(now)
	if l.kind == kindBucket {
		b, _ := l.bucket.refill(loadBucket(state), now)
		return b.Level == l.bucket.capacity && b.At == now
	}
	used, _ := l.usedAt(state, now)
	return used == 0 && (l.adaptive == nil || l.adaptive.fresh(state, now))
}

// Current is the limit at time now, and how much of it is used. An adaptive limit that was just lowered may have more
// used than it allows. For a bucket these are its burst, and the whole tokens that it lacks.
func (l *Limiter) Current(state []byte, now int64) (limit, used int64) {
	now = clampTime(now)
	if l.kind == kindBucket {
		b, _ := l.bucket.refill(loadBucket(state), now)
		return l.bucket.Burst(), l.bucket.Burst() - b.Level/fixedpoint.Nano
	}
	used, _ = l.usedAt(state, now)
	return l.limitAt(state, now), used
}

// Quota is the configured limit and its window, for the header RateLimit-Policy; of a bucket, its burst and fill time.
func (l *Limiter) Quota() (q int64, w time.Duration) {
	if l.kind == kindBucket {
		return l.bucket.Burst(), l.bucket.Fill()
	}
	return l.limit, time.Duration(l.window)
}

func loadBucket(state []byte) Bucket {
	return Bucket{
		Level: packed.I64(state, atLevel), At: packed.I64(state, atLevelAt),
		Leased: packed.U32(state, atLeased), LeasedBefore: packed.U32(state, atLeasedBefore),
	}
}

func (l *Limiter) storeBucket(state []byte, b Bucket) {
	packed.PutI64(state, atLevel, b.Level)
	packed.PutI64(state, atLevelAt, b.At)
	packed.PutU32(state, atLeased, b.Leased)
	packed.PutU32(state, atLeasedBefore, b.LeasedBefore)
	l.seal(state)
}

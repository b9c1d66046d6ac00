package ratelimit

import "github.com/weir-mesh/weir/policy/fixedpoint"

// A worker takes several requests from a state at once, a lease, and admits them without asking again. Nothing is too
// many for that:
//
//	sub-windows  A lease is valid until the end of the sub-window in which it was taken. All of a sub-window count until
//	             the same time, whenever they are used in it.
//	bucket       What is leased and may not be used yet has its place in the bucket, so that the tokens that are in the
//	             bucket and those that are leased never are more than its capacity. That is all that can be used at once.
//
//	             │◄──────────── capacity ────────────►│
//	             │ Level, refilled up to here │ leased │      leased: in this period and the one before
//
//	             A lease is valid for a part of a period, and a period is long enough for the worker's next heartbeat to give
//	             back what is left of it; what is not in these two was used or is lost. What was used gives its place free
//	             when its worker takes the next lease.
//
// A log of times is exact to a request, and an adaptive limit changes with each outcome: neither is leased.

// Nanoseconds.
const (
	leaseValid  = int64(100e6)  // how long a lease of a bucket may be used
	leasePeriod = int64(1500e6) // how long it has its place at least: leaseValid, and the time from heartbeat to heartbeat
)

// Lease is what a worker may still use of what it took in advance. The zero Lease is none.
type Lease struct {
	Left   int64 // requests
	Until  int64 // it is valid before
	taken  int64 // what was left at first
	period int64 // in which it was taken
}

// Leasable is the largest lease that one of so many workers may take, 1 if the limit is not leased: a 128th of the limit for
// all of them.
func (l *Limiter) Leasable(workers int64) int64 {
	most, _ := l.Quota()
	if l.kind == kindLog || l.adaptive != nil {
		most = 0
	}
	return max(most/128/max(workers, 1), 1)
}

// mostLeased is how many tokens may be leased at a time, by all workers.
func (c *BucketConfig) mostLeased() int64 { return c.Burst() / 32 }

// TakeLease asks for one request at time now, and for n - 1 more to be used later, of which it grants at most an eighth of
// what remains. The verdict is that of Take for the one request. A lease of none left tells until when it would be valid.
func (l *Limiter) TakeLease(state []byte, now, n int64) (Verdict, Lease) {
	now = clampTime(now)
	if n > 1 {
		n = min(n, l.free(state, now))
	}
	n = max(n, 1)
	v := l.Take(state, now, n)
	if !v.Admitted || l.kind == kindLog {
		return v, Lease{}
	}
	lease := Lease{Left: n - 1, taken: n - 1}
	v.Remaining += lease.Left
	if l.kind == kindSubWindows {
		lease.period, lease.Until = l.entries.shared(state)
		return v, lease
	}
	b := loadBucket(state)
	lease.Until, lease.period = now+leaseValid, b.At/leasePeriod
	if lease.Left > 0 {
		b.Leased += lease.Left
		l.storeBucket(state, b)
	}
	return v, lease
}

// free is how much of what remains may be leased at once.
func (l *Limiter) free(state []byte, now int64) int64 {
	switch l.kind {
	case kindBucket:
		b, _ := l.bucket.refill(loadBucket(state), now)
		return min(b.Level/fixedpoint.Nano/8, l.bucket.mostLeased()-b.Leased-b.LeasedBefore)
	case kindSubWindows:
		limit, used := l.Current(state, now)
		return (limit - used) / 8
	default:
		return 1
	}
}

// Return ends a lease: what is left of it is given back. It reports whether the state changed: of a bucket's lease, only what
// is returned within a period or two can be given back.
func (l *Limiter) Return(state []byte, lease Lease, now int64) (changed bool) {
	if l.kind != kindBucket {
		if lease.Left <= 0 || !l.entries.giveBack(state, lease.period, lease.Left) {
			return false
		}
		l.seal(state)
		return true
	}
	if lease.taken <= 0 {
		return false
	}
	b, _ := l.bucket.refill(loadBucket(state), clampTime(now))
	var of *int64
	switch b.At/leasePeriod - lease.period {
	case 0:
		of = &b.Leased
	case 1:
		of = &b.LeasedBefore
	default:
		return false
	}
	n := min(lease.taken, *of)
	*of -= n
	b.Level += min(lease.Left, n) * fixedpoint.Nano
	l.storeBucket(state, b)
	return true
}

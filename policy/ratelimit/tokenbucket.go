package ratelimit

import (
	"math"
	"time"

	"github.com/weir-mesh/weir/policy/fixedpoint"
)

// BucketConfig is a token bucket's policy, in the units that its arithmetic needs: a rate in micro-tokens a second,
// times nanoseconds, divided by 1e6, is a number of nano-tokens.
type BucketConfig struct {
	capacity int64 // nano-tokens
	rate     int64 // micro-tokens a second: 1.67/s is 1670000
	fill     int64 // nanoseconds from empty to full, rounded up
}

// NewBucketConfig takes a burst of whole tokens (1 to 1e6) and a refill rate in tokens a second (1e-6 to 1e6). A rate
// is rounded down to whole micro-tokens a second, and is at least one.
func NewBucketConfig(burst int64, refill float64) BucketConfig {
	c := BucketConfig{capacity: burst * fixedpoint.Nano}
	// The small addend keeps 1.67 x 1e6 from becoming 1669999 by the float's last bit.
	c.rate = max(int64(math.Floor(refill*fixedpoint.Micro+1e-4)), 1)
	c.fill = int64(c.after(c.capacity))
	return c
}

// Burst is the capacity in tokens.
func (c *BucketConfig) Burst() int64 { return c.capacity / fixedpoint.Nano }

// Fill is the time from empty to full.
func (c *BucketConfig) Fill() time.Duration { return time.Duration(c.fill) }

// Bucket is a token bucket's state. The zero Bucket is a fresh one: full.
type Bucket struct {
	Level int64 // nano-tokens at time At
	At    int64 // nanoseconds; 0: never used

	// Whole tokens that were leased in the period of At, and in the one before. Some of them may not be used yet, so the
	// bucket is full where Level and they make its capacity.
	Leased, LeasedBefore int64
}

// Verdict is the result of Take.
type Verdict struct {
	Admitted   bool
	Store      bool          // the state changed and must be stored
	Remaining  int64         // whole requests left
	RetryAfter time.Duration // refused: until the cost is available
	Reset      time.Duration // until nothing is used
}

// Take asks for n tokens at time now. A refusal takes nothing.
func (c *BucketConfig) Take(b Bucket, now, n int64) (Bucket, Verdict) {
	b, repaired := c.refill(b, now)
	cost := n * fixedpoint.Nano
	v := Verdict{Store: repaired}
	if b.Level >= cost {
		b.Level -= cost
		v.Admitted, v.Store = true, true
	} else {
		v.RetryAfter = c.after(cost-b.Level) + time.Duration(max(b.At-now, 0))
	}
	v.Remaining = b.Level / fixedpoint.Nano
	v.Reset = c.after(c.capacity - b.Level)
	return b, v
}

// refill brings the level to time now. It reports whether it repaired the state: its time can't be of this clock,
// because it is further ahead than the bucket takes to fill, and was set to now without adding tokens.
func (c *BucketConfig) refill(b Bucket, now int64) (Bucket, bool) {
	if b.At == 0 {
		return Bucket{Level: c.capacity, At: now}, false
	}
	// The state may be of a policy with a larger bucket, or torn.
	b.Level = min(max(b.Level, 0), c.capacity)
	passed := now - b.At
	switch {
	case passed < -c.fill:
		return Bucket{Level: b.Level, At: now}, true
	case passed <= 0: // another worker's reading, a little ahead: no refill, and At stays
		return b, false
	}
	for b.Leased|b.LeasedBefore != 0 { // at most twice
		end := (b.At/leasePeriod + 1) * leasePeriod
		if end > now {
			break
		}
		b = c.fillUntil(b, end)
		b.Leased, b.LeasedBefore = 0, b.Leased
	}
	return c.fillUntil(b, now), false
}

// fillUntil adds what is refilled until a time in the period of At, or its end.
func (c *BucketConfig) fillUntil(b Bucket, t int64) Bucket {
	full := c.capacity - (b.Leased+b.LeasedBefore)*fixedpoint.Nano
	if passed := t - b.At; passed >= c.fill {
		b.Level = full
	} else {
		// passed < fill, so this adds less than capacity + rate / 1e6 <= 1e15 + 1e6.
		b.Level = min(b.Level+fixedpoint.MulDiv(passed, c.rate, fixedpoint.Micro), full)
	}
	b.At = t
	return b
}

// longest stands for all times beyond 146 years, so that sums of them do not overflow.
const longest = math.MaxInt64 / 2

// after is the time in which an amount of nano-tokens is refilled, rounded up.
func (c *BucketConfig) after(amount int64) time.Duration {
	if amount <= 0 {
		return 0
	}
	return time.Duration(min(fixedpoint.MulDivUp(amount, fixedpoint.Micro, c.rate), longest))
}

package retry

import (
	"math"
	"math/bits"
	"time"
)

// MaxRetries is the largest number of retries of one request.
const MaxRetries = 9

// longestDelay is what delays are clamped to, nine years; the policy allows a day.
const longestDelay = 1 << 58

// BackoffConfig is what a policy says of the delays.
type BackoffConfig struct {
	Base        time.Duration // before the first retry, at least 1 ns
	Max         time.Duration // no wait is longer; at least Base
	Exponential float64       // what each delay is multiplied by for the next, 1 to 10
	Jitter      bool          // full jitter
}

// Backoff is the delays of a policy, computed once.
type Backoff struct {
	delays [MaxRetries]time.Duration
	most   time.Duration
	jitter bool
}

// NewBackoff computes the delays. Each is Base x Exponential^n, the exact product rounded to the nearest nanosecond,
// halves up; the only other error is that of Exponential, the float64 nearest to the written number. Up to delays of a
// day that is at most 0.1 ns, so whole results stay whole: 1s x 1.1^8 is 2.14358881s.
func NewBackoff(c BackoffConfig) Backoff {
	base := min(max(int64(c.Base), 1), longestDelay)
	most := min(max(int64(c.Max), base), longestDelay)
	factor := c.Exponential
	if !(factor > 1) { // NaN included
		factor = 1
	}
	// factor = mantissa x 2^-scale, exactly.
	fraction, exponent := math.Frexp(min(factor, 10))
	mantissa, scale := uint64(math.Ldexp(fraction, 53)), 53-exponent
	b := Backoff{most: time.Duration(most), jitter: c.Jitter}
	p := product{uint64(base)}
	for n := range b.delays {
		delay := p.shift(n * scale)
		if delay >= uint64(most) {
			// The powers of a factor of at least 1 never decrease.
			for ; n < MaxRetries; n++ {
				b.delays[n] = b.most
			}
			break
		}
		b.delays[n] = time.Duration(delay)
		p.multiply(mantissa)
	}
	return b
}

// Delay is the n-th delay without jitter, n from 0 to MaxRetries-1. For a larger n it is the last one.
func (b *Backoff) Delay(n int) time.Duration { return b.delays[min(max(n, 0), MaxRetries-1)] }

// Wait is how long the n-th retry waits, n from 0. retryAfter is upstream's Retry-After, 0 if there was none. random
// are 64 random bits, unused without jitter; all nanoseconds of the range, both ends included, are equally likely to
// one part in 2^64 / range (2^17 for a day).
func (b *Backoff) Wait(n int, retryAfter time.Duration, random uint64) time.Duration {
	delay, earliest := b.Delay(n), min(max(retryAfter, 0), b.most)
	if !b.jitter {
		return max(delay, earliest)
	}
	spread := min(delay, b.most-earliest)
	drawn, _ := bits.Mul64(random, uint64(spread)+1)
	return earliest + time.Duration(drawn)
}

// product is a whole number, its lowest word first. A delay's first 58 bits and eight mantissas of 53 fit.
type product [8]uint64

func (p *product) multiply(by uint64) {
	carry := uint64(0)
	for i := range p {
		high, low := bits.Mul64(p[i], by)
		sum, over := bits.Add64(low, carry, 0)
		p[i], carry = sum, high+over
	}
}

// shift is the product / 2^n, rounded to the nearest, halves up. The caller knows that it fits.
func (p *product) shift(n int) uint64 {
	if n == 0 {
		return p[0]
	}
	word, bit := n/64, n%64
	whole := p[word]>>bit | p[word+1]<<(64-bit)
	return whole + p[(n-1)/64]>>((n-1)%64)&1
}

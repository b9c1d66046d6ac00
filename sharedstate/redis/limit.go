package redis

import (
	"math"
	"math/bits"
	"strconv"
	"time"

	"github.com/weir-mesh/weir/policy/fixedpoint"
	"github.com/weir-mesh/weir/policy/ratelimit"
)

// Limit is one compiled limit that proxies share: its script, and the numbers that are the script's arguments. It is
// read-only.
type Limit struct {
	script   *Script
	ttl      int64    // µs
	numbers  [9]int64 // ARGV 11 to 19
	name     string   // of the configuration in Redis, see lua/configurations.lua
	record   string   // its record's name
	state    string   // what the state's key adds to the record's
	limit    int64
	window   time.Duration
	adaptive bool
}

const (
	// exact is the largest limit whose times of use are kept to the microsecond. Above, they are rounded up to a 512th
	// of the window, so that a record has at most some 512 entries, and one for each lease that is out.
	exact = 512

	// shortestTTL is the shortest lifetime of a bucket's lease: the tokens of a reply that takes longer are lost.
	shortestTTL = 5 * time.Millisecond

	maxLimit  = 1e7
	maxBurst  = 1e6
	maxRate   = 1e12 // micro-tokens a second
	maxWindow = 10 * 365 * 24 * time.Hour
	nano      = 1e9
)

// NewSlidingWindow admits limit requests (1 to 1e7) in each window (1 ms to ten years), by leases that live for ttl
// (at most window / 10).
func NewSlidingWindow(limit int64, window, ttl time.Duration) *Limit {
	l := newWindow(limit, window, ttl)
	l.script = &slidingWindowScript
	return l
}

// NewAdaptive is a sliding window whose limit moves with the success rate that all proxies saw together.
func NewAdaptive(limit int64, window, ttl time.Duration, c ratelimit.AdaptiveConfig) *Limit {
	l := newWindow(limit, window, ttl)
	l.script, l.adaptive = &adaptiveScript, true
	recovery := max(millionths(c.Recovery, 1, 100), 1e6+1)
	interval := min(max(micros(c.Interval), 1), micros(maxWindow))
	l.numbers[2] = millionths(c.Threshold, 0, 1)
	l.numbers[3] = millionths(c.Backoff, 0, 1)
	l.numbers[4] = recovery
	l.numbers[5] = interval
	l.numbers[6] = int64(min(max(c.MinSamples, 1), 1<<30))
	l.numbers[7] = forgetting(l.limit, micros(l.window), interval, recovery)
	l.name = "a" + decimal(l.limit) + ":" + decimal(micros(l.window))
	l.state = ":a" + decimal(l.limit)
	return l
}

func newWindow(limit int64, window, ttl time.Duration) *Limit {
	limit = min(max(limit, 1), maxLimit)
	w := min(max(micros(window), 1000), micros(maxWindow))
	l := &Limit{limit: limit, window: time.Duration(w) * time.Microsecond, ttl: min(max(micros(ttl), 0), w/10)}
	quantum := int64(1)
	if limit > exact {
		quantum = max(ceilDiv(w, exact), 1)
	}
	l.numbers[0], l.numbers[1], l.numbers[8] = limit, w, quantum
	l.name = "w" + decimal(w)
	l.record, l.state = l.name, ":s"
	return l
}

// forgetting is the time without outcomes after which an adaptive limit returns to its configured value, as in
// ratelimit.AdaptiveConfig: a window and the time to recover from the lowest to the highest limit, a day at most.
func forgetting(limit, window, interval, recovery int64) int64 {
	const day = int64(24 * time.Hour / time.Microsecond)
	lowest := max(ceilDiv(limit, 10), 1)
	steps := fixedpoint.Steps(float64(limit)/float64(lowest), float64(recovery)/1e6)
	base := window + ceilDiv(window, 64) + 1
	return base + int64(min(steps*float64(interval), float64(max(day-base, 0))))
}

// NewTokenBucket is a bucket of burst tokens (1 to 1e6) that is refilled by refill tokens a second (1e-6 to 1e6). A
// lease's tokens are used up to its ttl later than they were granted, so the bucket in Redis is smaller by rate x ttl.
// The ttl is shortened so that half of the burst beyond one token stays.
//
// Where that would leave less than 5 ms, ttl is 5 ms and the bucket is as small as necessary, but one token at least.
// If even that is too much (burst - 1 below rate x 5 ms), the refill is slower, burst / (1/rate + ttl) instead of the
// rate: a burst of 1 at 50 a second gives 40.
func NewTokenBucket(burst int64, refill float64, ttl time.Duration) *Limit {
	burst = min(max(burst, 1), maxBurst)
	rate := min(max(int64(math.Floor(refill*1e6+1e-4)), 1), maxRate) // as ratelimit.NewBucketConfig
	perSecond := float64(rate) / 1e6
	held := min(max(ttl.Seconds(), 0), 3600)
	if ttl > 0 {
		held = max(min(held, float64(burst-1)/(2*perSecond)), min(held, shortestTTL.Seconds()))
	}
	l := &Limit{script: &tokenBucketScript, limit: burst, ttl: int64(held * 1e6)}
	capacity := burst*nano - inflow(rate, l.ttl)
	if capacity < nano {
		capacity = nano
		slower := float64(burst) / (1/perSecond + float64(l.ttl)/1e6)
		rate = max(min(rate, int64(slower*1e6)), 1)
	}
	l.window = time.Duration(min(float64(burst)/perSecond*1e9, float64(maxWindow)))
	l.numbers[0], l.numbers[1] = capacity, rate
	l.name = "b" + decimal(capacity) + ":" + decimal(rate) + ":" + decimal(l.ttl)
	l.record, l.state = l.name, ":s"
	return l
}

// inflow is rate x time in nano-tokens, rounded up: at most 1e12 x 3.6e9 / 1000.
func inflow(rate, time int64) int64 {
	high, low := bits.Mul64(uint64(rate), uint64(time))
	q, r := bits.Div64(high, low, 1000)
	if r > 0 {
		q++
	}
	return int64(q)
}

// TTL is how long the tokens of a lease may be used, from before its request was sent.
func (l *Limit) TTL() time.Duration { return time.Duration(l.ttl) * time.Microsecond }

// Window is the limit's window; for a bucket, the time it takes to fill.
func (l *Limit) Window() time.Duration { return l.window }

// Requests is the configured limit; for a bucket, its burst.
func (l *Limit) Requests() int64 { return l.limit }

// longestWait is the longest time until the next token, in microseconds, even where Redis's clock was set back. Window:
// an entry was a lease, of a ttl of at most a tenth of the window, and its time was rounded up. Bucket: its fill, where
// another configuration granted more than there was, and a token, after a level's time that is ahead of the clock by up
// to 1 s.
func (l *Limit) longestWait() int64 {
	if l.script == &tokenBucketScript {
		return min(micros(l.window)+ceilDiv(1e12, l.numbers[1])+1e6, micros(maxWindow))
	}
	window, quantum := l.numbers[1], l.numbers[8]
	return min(window+window/10+2*quantum, micros(maxWindow))
}

// Identity is all that the limit's calls depend on, as text.
func (l *Limit) Identity() string {
	text := l.script.name + " " + l.name + " " + l.record + " " + decimal(l.limit) + " " + decimal(l.ttl)
	for _, n := range l.numbers {
		text += " " + decimal(n)
	}
	return text
}

// Adaptive says whether the limit depends on outcomes.
func (l *Limit) Adaptive() bool { return l.adaptive }

// Script is the limit's script.
func (l *Limit) Script() *Script { return l.script }

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func micros(d time.Duration) int64 { return int64(d / time.Microsecond) }

func millionths(f, low, high float64) int64 {
	return int64(math.Round(min(max(f, low), high) * 1e6))
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

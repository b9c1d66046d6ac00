package lease

import "time"

// breaker is the circuit breaker for calls to Redis: after a few failures in a row no call is made for a while, then one
// probe, for which no request waits. The zero breaker is closed.
//
//	closed ── threshold failures ──► open ── wait is over ──► half-open ── success ──► closed
//	                                   ▲                          │
//	                                   └─── failure: wait x 2 ────┘
type breaker struct {
	failures   int
	wait       int64
	openUntil  int64 // 0: closed
	probeUntil int64 // a probe is answered or given up until then
}

// breakerState is what a breaker lets through.
type breakerState uint8

const (
	breakerClosed   breakerState = iota // all calls
	breakerOpen                         // no call
	breakerHalfOpen                     // one call, a probe, for which no request waits
)

func (s breakerState) String() string { return [...]string{"closed", "open", "half-open"}[s] }

const (
	threshold = 2
	firstWait = int64(100 * time.Millisecond)

	// longestWait is short, as no request waits for a probe, and each further wait is time without Redis.
	longestWait = int64(500 * time.Millisecond)
)

// at is the state at time now, in nanoseconds of a monotonic clock.
func (b *breaker) at(now int64) breakerState {
	switch {
	case b.openUntil == 0:
		return breakerClosed
	case now < b.openUntil || now < b.probeUntil:
		return breakerOpen
	default:
		return breakerHalfOpen
	}
}

// sent notes that a call is made. It is answered or given up within twice the timeout.
func (b *breaker) sent(now, timeout int64) {
	if b.openUntil != 0 {
		b.probeUntil = now + 2*timeout
	}
}

func (b *breaker) succeeded() { *b = breaker{} }

func (b *breaker) failed(now int64) {
	b.failures++
	if b.failures < threshold {
		return
	}
	if b.openUntil == 0 {
		b.wait = firstWait
	} else if now >= b.openUntil { // else the call was sent before the breaker opened: its failure says nothing new
		b.wait = min(2*b.wait, longestWait)
	}
	b.openUntil, b.probeUntil = max(b.openUntil, now+b.wait), 0
}

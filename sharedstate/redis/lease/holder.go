package lease

import (
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis"
)

// Config is how a holder leases.
type Config struct {
	// MaxTokens caps a lease, beyond the tokens that requests wait for. With 1, tokens are leased only for requests
	// that wait. With 0 there is no cap.
	MaxTokens int64
	// MaxWaiters is how many requests wait at a time, at least 1.
	MaxWaiters int

	keyed bool // it is one key's part of a limit by key
}

// Holder is one worker's part of a limit. It has the tokens that it leased and counts the requests that wait; its
// caller keeps those in a queue, in order. One goroutine uses it, its times are nanoseconds of a monotonic clock, and
// Take allocates nothing. A holder has some 1.5 KB.
type Holder struct {
	w      *Worker
	limit  *redis.Limit
	config Config
	ttl    int64 // of a lease, ns
	step   int64 // times of use are rounded up to a multiple of it, µs
	demand demand

	open      [maxOpen]lease // the oldest first
	openLen   int
	closed    [redis.MaxSettled]redis.Settlement // to be reported, the oldest first
	closing   [redis.MaxSettled]closing          // of each in closed
	closedLen int
	waiters   int

	batch     int64 // of tokens, see pace.go
	pace      int64 // from the last call to the next, 0: no pace
	busySince int64 // when requests began to come after a gap

	lowMark     int64 // with that many tokens left, more are requested
	notBefore   int64 // no tokens are requested before: none was left
	nextToken   int64 // when Redis said that the next one comes
	dueSince    int64 // when a call was announced as due; 0: none is due
	dueToSettle bool  // the call that is due only settles
	called      int64 // when the last call was sent
	pending     call
	roundTrip   int64 // of calls, an average, ns

	limitBreaker *breaker // of all holders of the limit in this worker, see Fail
	breaker      breaker  // of this one

	successes, failures int64
	firstOutcome        int64 // time of the first of successes and failures
	lastReply           redis.Reply
	request             redis.LeaseRequest
}

// closing is what is not reported of a closed lease.
type closing struct {
	sent   int64
	urgent bool // it has unused tokens, which other proxies may be waiting for
}

// call is the pending call to Redis.
type call struct {
	number   int64 // 0: no call is pending
	sent     int64
	want     int64 // tokens
	reported int   // closed leases in it
}

const (
	maxOpen = 3
	horizon = int64(100 * time.Millisecond) // a lease is for this much traffic

	// A token for a future request is leased where 2 requests come within a lease's lifetime, so that it expires unused
	// in 1 of 7 cases (exp(-2)). Where at most a quarter of the limit is left, other proxies would miss it: then 6
	// requests must come, and it expires unused in 1 of 400 cases (exp(-6)).
	minExpected, minExpectedScarce = 2, 6

	shortestPause = int64(5 * time.Millisecond)
	longestPause  = int64(time.Second)
	lostDue       = int64(20 * time.Millisecond)
)

// NewHolder is a holder without tokens. limit and config are as the policy says.
func NewHolder(w *Worker, limit *redis.Limit, config Config) *Holder {
	h := &Holder{}
	h.init(w, limit, config, &breaker{})
	return h
}

func (h *Holder) init(w *Worker, limit *redis.Limit, config Config, limitBreaker *breaker) {
	// Redis's clock is read in whole microseconds, rounded down: a grant may be up to one later than it says.
	ttl := int64(limit.TTL() - time.Microsecond)
	*h = Holder{} // not a literal with values, which is 3 KB of Wasm
	h.w, h.limit, h.config, h.limitBreaker = w, limit, config, limitBreaker
	h.ttl, h.step = ttl, max(ttl/64/1000, 1)
	h.config.MaxWaiters = max(config.MaxWaiters, 1)
	h.batch = batch(limit, config)
}

// Take requests one token at time now.
func (h *Holder) Take(now int64) Verdict {
	h.noteBurst(now)
	h.demand.add(1, now)
	return h.take(now)
}

// take is Take of a request that demand has counted.
func (h *Holder) take(now int64) Verdict {
	if l := h.spendable(now); l != nil {
		h.spend(l, now, 1)
		return Verdict{Decision: Granted, CallDue: h.refillDue(now)}
	}
	if now < h.notBefore {
		if h.waitsForPace(now) {
			h.waiters++
			return Verdict{Decision: Waiting}
		}
		return Verdict{Decision: Refused, RetryAfter: h.retryAfter(now)}
	}
	switch state := h.breakerAt(now); {
	case state == breakerHalfOpen && !h.callPending():
		h.setDue(now)
		return Verdict{Decision: RedisDown, CallDue: true}
	case state != breakerClosed:
		return Verdict{Decision: RedisDown}
	case h.waiters >= h.config.MaxWaiters:
		return Verdict{Decision: QueueFull}
	}
	h.waiters++
	if h.callPending() {
		return Verdict{Decision: Waiting}
	}
	h.setDue(now)
	return Verdict{Decision: Waiting, CallDue: true}
}

func (h *Holder) retryAfter(now int64) time.Duration {
	return time.Duration(max(h.nextToken, h.notBefore) - now)
}

// CancelWaiting says that n of the waiting requests wait no more.
func (h *Holder) CancelWaiting(n int) { h.waiters = max(h.waiters-n, 0) }

// Report counts a request's outcome, for an adaptive limit. The next call reports it to Redis.
func (h *Holder) Report(success bool, now int64) {
	if !h.limit.Adaptive() {
		return
	}
	if h.successes+h.failures == 0 {
		h.firstOutcome = now
	}
	if success {
		h.successes++
	} else {
		h.failures++
	}
}

// LastReply is the last reply of Redis. known is false before the first one.
func (h *Holder) LastReply() (r redis.Reply, known bool) { return h.lastReply, h.lastReply.Live > 0 }

// Held is the number of tokens that can be used at time now without a call.
func (h *Holder) Held(now int64) (tokens int64) {
	for i := range h.openLen {
		if now-h.open[i].sent < h.ttl {
			tokens += h.open[i].left
		}
	}
	return tokens
}

// Idle says whether the holder may be dropped at time now: it has no token, no waiting request, no call, nothing to
// report, refuses no requests, and its own breaker is not open.
func (h *Holder) Idle(now int64) bool {
	h.spendable(now)
	return h.openLen == 0 && h.waiters == 0 && !h.callPending() && h.closedLen == 0 &&
		h.successes+h.failures == 0 && now >= h.notBefore && h.breaker.at(now) != breakerOpen
}

// Wakes implements Source: nobody waits for this worker's calls but its own requests.
func (h *Holder) Wakes() []uint32 { return nil }

// Identity implements Source.
func (h *Holder) Identity() *Holder { return h }

// callPending says whether a call is pending, or announced as due.
func (h *Holder) callPending() bool { return h.pending.number != 0 || h.dueSince != 0 }

func (h *Holder) setDue(now int64) { h.dueSince, h.dueToSettle = now, false }

// refillDue says, once, that more tokens should be leased though some are left.
func (h *Holder) refillDue(now int64) bool {
	if h.callPending() || now < h.notBefore || !h.leasesAhead(h.demand.rate) {
		return false
	}
	var left int64
	for i := range h.openLen {
		left += h.open[i].left
	}
	if left > h.lowMark || h.breakerAt(now) == breakerOpen {
		return false
	}
	h.setDue(now)
	return true
}

// leasesAhead says whether it is worth leasing tokens for future requests, at a rate in requests a nanosecond.
func (h *Holder) leasesAhead(rate float64) bool {
	expected := rate * float64(h.ttl)
	scarce := h.lastReply.Remaining <= h.lastReply.Limit/4
	return h.config.MaxTokens != 1 && (expected >= minExpectedScarce || (expected >= minExpected && !scarce))
}

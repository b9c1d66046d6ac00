package lease

import (
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis"
)

// Config is how a holder leases.
type Config struct {
	// MaxTokens caps a lease, as far as no requests wait for it: 1 means that tokens are only asked for by requests that
	// wait for them. 0: no cap but what the rate asks for.
	MaxTokens int64
	// MaxWaiters is how many requests wait at a time, at least 1.
	MaxWaiters int
}

// Holder is one worker's part of a limit. It has the tokens that it leased and counts the requests that wait; the caller
// keeps those in a queue, in order. It is used by one goroutine, its times are nanoseconds of a monotonic clock, and
// Take allocates nothing. A holder takes some 1.5 KB.
type Holder struct {
	w      *Worker
	limit  *redis.Limit
	config Config
	ttl    int64 // ns
	step   int64 // µs
	demand demand

	open    [maxOpen]lease // the oldest first
	opened  int
	closed  [redis.MaxSettled]redis.Settlement // done with, to be reported, the oldest first
	past    [redis.MaxSettled]past             // … of each
	closes  int
	waiters int

	low       int64 // with that many tokens left, more are asked for
	notBefore int64 // nothing is asked for before: there was nothing left
	nextToken int64 // when Redis said that the next one comes
	dueSince  int64 // a call was said to be due, then; 0: none is
	settles   bool  // … only to settle
	called    int64 // when the last call was sent
	flight    flight
	trip      int64 // how long a call takes, ns, an average

	successes, failures int64
	heard               int64 // the first of them came then
	seen                redis.Reply
	ask                 redis.Ask
}

// past is what is to be known of a closed lease but not reported.
type past struct {
	sent   int64
	urgent bool // something of it was not used, and others may be waiting for that
}

// flight is the call that is out.
type flight struct {
	number   int64 // 0: none
	sent     int64
	reported int // closed leases in it
}

const (
	maxOpen = 3
	horizon = int64(100 * time.Millisecond) // of traffic, a lease's size

	// A token for the next request is leased ahead where 2 come within a lease's time, so that it expires unused in one
	// case of 7 (exp(-2)). Where less than a quarter of the limit is left, others would miss it: then one of 400 may.
	ahead, aheadScarce = 2, 6

	shortestPause = int64(5 * time.Millisecond)
	longestPause  = int64(time.Second)
	lostDue       = int64(20 * time.Millisecond)
)

// NewHolder is a holder without tokens. limit and config are what the policy says.
func NewHolder(w *Worker, limit *redis.Limit, config Config) *Holder {
	h := &Holder{}
	h.init(w, limit, config)
	return h
}

func (h *Holder) init(w *Worker, limit *redis.Limit, config Config) {
	// Redis's clock is read in whole microseconds, rounded down: a grant may be up to one later than it says.
	ttl := int64(limit.TTL() - time.Microsecond)
	*h = Holder{w: w, limit: limit, config: config, ttl: ttl, step: max(ttl/64/1000, 1)}
	h.config.MaxWaiters = max(config.MaxWaiters, 1)
}

// Outcome is what becomes of a request.
type Outcome uint8

// The outcomes.
const (
	Granted Outcome = iota + 1
	Refused         // nothing is left; see RetryAfter
	Waiting         // for the answer to a call: an Answer will count it
	Full            // as many wait as may
	Down            // no token, and Redis is not called now (see Gate)
)

func (o Outcome) String() string {
	return [...]string{"none", "granted", "refused", "waiting", "full", "down"}[o]
}

// Verdict is the answer to Take.
type Verdict struct {
	Outcome    Outcome
	RetryAfter time.Duration // of a refusal
	Call       bool          // a call is due: have Ask called soon, from where a call may be made
}

// Answer says what becomes of requests that waited, in their order: the first Granted are admitted, the next Refused refused
// and the next Failed had no answer from Redis. Those that are left wait on.
type Answer struct {
	Granted, Refused, Failed int
	RetryAfter               time.Duration // of those that are refused
	Call                     bool          // a call is due
	Late                     bool          // it was no answer to the call that is out: dropped
}

// Take asks for one token at time now.
func (h *Holder) Take(now int64) Verdict {
	h.demand.came(now)
	if l := h.spendable(now); l != nil {
		h.spend(l, now, 1)
		return Verdict{Outcome: Granted, Call: h.refill(now)}
	}
	if now < h.notBefore {
		return Verdict{Outcome: Refused, RetryAfter: h.retryAfter(now)}
	}
	switch gate := h.w.gate.State(now); {
	case gate == GateProbing && h.idle():
		h.due(now)
		return Verdict{Outcome: Down, Call: true}
	case gate != GateOpen:
		return Verdict{Outcome: Down}
	case h.waiters >= h.config.MaxWaiters:
		return Verdict{Outcome: Full}
	}
	h.waiters++
	if !h.idle() {
		return Verdict{Outcome: Waiting}
	}
	h.due(now)
	return Verdict{Outcome: Waiting, Call: true}
}

func (h *Holder) retryAfter(now int64) time.Duration {
	return time.Duration(max(h.nextToken, h.notBefore) - now)
}

// Leave says that n of the requests that wait have gone.
func (h *Holder) Leave(n int) { h.waiters = max(h.waiters-n, 0) }

// Report counts how a request ended, for an adaptive limit. It is told with the next call.
func (h *Holder) Report(success bool, now int64) {
	if !h.limit.Adaptive() {
		return
	}
	if h.successes+h.failures == 0 {
		h.heard = now
	}
	if success {
		h.successes++
	} else {
		h.failures++
	}
}

// Seen is the last answer of Redis, known from the first one on.
func (h *Holder) Seen() (r redis.Reply, known bool) { return h.seen, h.seen.Live > 0 }

// Held is the number of tokens that may be used at time now without a call.
func (h *Holder) Held(now int64) (tokens int64) {
	for i := range h.opened {
		if now-h.open[i].sent < h.ttl {
			tokens += h.open[i].left
		}
	}
	return tokens
}

// Done says whether the holder has nothing that would be lost with it, at time now: no token, no waiting request, no call, nothing to report, and no
// refusal that still stands.
func (h *Holder) Done(now int64) bool {
	h.spendable(now)
	return h.opened == 0 && h.waiters == 0 && h.idle() && h.closes == 0 && h.successes+h.failures == 0 && now >= h.notBefore
}

// spendable is the oldest lease with a token that may be used, nil if there is none. What is in its way is closed.
func (h *Holder) spendable(now int64) *lease {
	for h.opened > 0 {
		l := &h.open[0]
		if l.left > 0 && now-l.sent < h.ttl {
			return l
		}
		h.close()
	}
	return nil
}

func (h *Holder) spend(l *lease, now, n int64) {
	l.use((now-l.sent+999)/1000+1, h.step, int64(h.limit.TTL()/time.Microsecond), n)
}

// close moves the oldest open lease to those that are to be reported.
func (h *Holder) close() {
	l := &h.open[0]
	h.settle(&l.out, past{sent: l.sent, urgent: l.left > 0})
	copy(h.open[:], h.open[1:h.opened])
	h.opened--
}

// settle adds a lease to those that are to be reported. Where there is no room one is never reported, and counts until it
// expires.
func (h *Holder) settle(s *redis.Settlement, p past) {
	if h.closes == len(h.closed) {
		if h.flight.number != 0 {
			return
		}
		h.forget(1)
	}
	h.closed[h.closes], h.past[h.closes] = *s, p
	h.closes++
}

// forget drops the n oldest closed leases.
func (h *Holder) forget(n int) {
	copy(h.closed[:], h.closed[n:h.closes])
	copy(h.past[:], h.past[n:h.closes])
	h.closes -= n
}

// idle says whether no call is out, nor said to be due.
func (h *Holder) idle() bool { return h.flight.number == 0 && h.dueSince == 0 }

func (h *Holder) due(now int64) { h.dueSince, h.settles = now, false }

// refill says, once, that more tokens should be asked for, though some are left.
func (h *Holder) refill(now int64) bool {
	if !h.idle() || now < h.notBefore || !h.ahead(h.demand.rate) {
		return false
	}
	var left int64
	for i := range h.opened {
		left += h.open[i].left
	}
	if left > h.low || h.w.gate.State(now) == GateClosed {
		return false
	}
	h.due(now)
	return true
}

// ahead says whether it is worth leasing tokens for requests that have not come yet, at a rate in requests a nanosecond.
func (h *Holder) ahead(rate float64) bool {
	within := rate * float64(h.ttl)
	scarce := h.seen.Remaining <= h.seen.Limit/4
	return h.config.MaxTokens != 1 && (within >= aheadScarce || (within >= ahead && !scarce))
}

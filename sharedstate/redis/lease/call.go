package lease

import (
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis"
)

// NextCall is the call that is due, to be sent at once: now is the start of its lease. ok is false where no call is
// due, or Redis must not be called any more; then the waiting requests have failed. The request is valid until the next
// call of NextCall, so it may be sent a second time, with the script's source, after NOSCRIPT: that is still the same
// call.
func (h *Holder) NextCall(now int64) (request *redis.LeaseRequest, d Decisions, ok bool) {
	if h.dueSince == 0 || h.pending.number != 0 {
		return nil, Decisions{}, false
	}
	h.dueSince = 0
	if h.breakerAt(now) == breakerOpen {
		return nil, Decisions{Failed: h.dropWaiters()}, false
	}
	h.w.breaker.sent(now, h.w.timeout)
	h.limitBreaker.sent(now, h.w.timeout)
	h.breaker.sent(now, h.w.timeout)
	h.spendable(now) // closes leases that are over
	h.pending = call{number: h.w.nextNumber(), sent: now, want: h.wantedTokens(now), reported: h.closedLen}
	h.called = now
	h.request = redis.LeaseRequest{
		Holder: h.w.holder, Number: h.pending.number, Proxy: h.w.proxy,
		Need: int64(h.waiters), Want: h.pending.want,
		Successes: h.successes, Failures: h.failures,
		Settled: h.closed[:h.closedLen],
	}
	// Outcomes are counted at most once: where the call is lost they are, too.
	h.successes, h.failures = 0, 0
	return &h.request, Decisions{}, true
}

// wantedTokens is how many tokens to request: those that requests wait for, or what is used in the time that a lease is
// for, if that is more.
func (h *Holder) wantedTokens(now int64) int64 {
	if h.waiters == 0 && (h.dueToSettle || now < h.notBefore) {
		return 0
	}
	rate := h.demand.at(now)
	var size int64
	if h.leasesAhead(rate) && h.openLen < maxOpen {
		size = max(int64(rate*float64(min(horizon, h.ttl/2))), 1)
		if h.config.MaxTokens > 0 {
			size = min(size, h.config.MaxTokens)
		}
	}
	if h.crowded() && h.openLen < maxOpen {
		size = max(size, min(h.batch, int64(h.waiters)+int64(rate*float64(h.ttl)+0.5)))
	}
	return max(size, int64(h.waiters))
}

// Reply takes Redis's reply to a call. A reply to a call that was given up is dropped: what it grants is lost, since
// the call was settled or will be.
func (h *Holder) Reply(number int64, r redis.Reply, now int64) Decisions {
	ended := h.received(number, r, now)
	if ended == 0 {
		return Decisions{Late: true}
	}
	return h.decideWaiters(ended, now)
}

// ending is how a call ended.
type ending uint8

const (
	replied ending = iota + 1
	tooLate        // the reply came too late for its tokens to be used
	failed
)

// received notes a reply; 0: its call was given up.
func (h *Holder) received(number int64, r redis.Reply, now int64) ending {
	if number != h.pending.number || number == 0 {
		return 0
	}
	pending := h.pending
	h.w.breaker.succeeded()
	h.limitBreaker.succeeded()
	h.breaker.succeeded()
	h.forget(pending.reported)
	h.pending = call{}
	h.lastReply = r
	h.roundTrip += (now - pending.sent - h.roundTrip) / 4
	h.notBefore = 0
	if pending.want > 0 {
		h.pace = h.paceAfter(r, now-pending.sent, pending.sent-h.busySince)
	}
	if r.Remaining == 0 || h.paced() {
		h.pause(r, now)
	}
	if r.Granted == 0 {
		return replied
	}
	h.addLease(r, pending)
	if now-pending.sent >= h.ttl {
		return tooLate
	}
	return replied
}

// decideWaiters decides on waiting requests after a call.
func (h *Holder) decideWaiters(ended ending, now int64) Decisions {
	if ended == failed {
		return Decisions{Failed: h.dropWaiters()}
	}
	d := Decisions{Granted: h.serveWaiters(now)}
	switch {
	case h.waiters == 0:
	case ended == tooLate:
		d.Failed = h.dropWaiters()
	case h.lastReply.Remaining == 0 || now < h.notBefore:
		d.Refused, d.RetryAfter = h.dropWaiters(), h.retryAfter(now)
	case !h.callPending():
		h.setDue(now)
		d.CallDue = true
	}
	return d
}

// pause notes that no token is left. Then the next call is made when the next token comes, but in 5 ms at the earliest
// and 1 s at the latest, since other proxies may give tokens back. A random delay of up to 2 ms for each proxy, 100 ms
// at most, is added, so that many proxies don't call all at once, nor more often than they can get something. A pace is
// longer than that, a quarter more or less.
func (h *Holder) pause(r redis.Reply, now int64) {
	wait := max(int64(r.RetryAfter), 1)
	h.nextToken = now + wait
	spread := h.w.below(min(r.Live*int64(2*time.Millisecond), longestPause/10))
	h.notBefore = now + min(max(wait, shortestPause), longestPause) + spread
	if h.paced() {
		h.notBefore = now + h.pace*3/4 + h.w.below(h.pace/2)
	}
}

// Fail says that a call got no valid reply: an error, a timeout, a malformed one. All waiting requests have failed.
// Redis may have granted what was requested: the next call gives it back. Scope is what the failure concerns: it opens
// the breaker of the worker, of the limit or of this holder, and what is beyond is called as before.
func (h *Holder) Fail(number int64, scope redis.Scope, now int64) Decisions {
	if number != h.pending.number || number == 0 {
		return Decisions{Late: true}
	}
	pending := h.pending
	h.pending = call{}
	switch scope {
	case redis.OfRedis:
		h.w.breaker.failed(now)
	case redis.OfLimit:
		h.w.breaker.succeeded()
		h.limitBreaker.failed(now)
	case redis.OfRecord:
		h.w.breaker.succeeded()
		h.limitBreaker.succeeded()
		h.breaker.failed(now)
	}
	if pending.want > 0 {
		h.settle(&redis.Settlement{Number: number}, closing{sent: pending.sent, urgent: true})
	}
	return h.decideWaiters(failed, now)
}

// breakerAt is what may be sent at time now: what the breakers of the worker, the limit and the holder all let through.
func (h *Holder) breakerAt(now int64) breakerState {
	if state := h.w.breaker.at(now); state != breakerClosed {
		return state
	}
	if state := h.limitBreaker.at(now); state != breakerClosed {
		return state
	}
	return h.breaker.at(now)
}

// dropWaiters forgets the waiting requests and returns their number.
func (h *Holder) dropWaiters() int {
	n := h.waiters
	h.waiters = 0
	return n
}

// Tick is to be called every 10 to 50 ms. It gives up a call that has no reply after twice the timeout, repeats that a
// call is due, and announces a call that only settles, where no request leads to one.
func (h *Holder) Tick(now int64) Decisions {
	var d Decisions
	if h.pending.number != 0 {
		if now-h.pending.sent < 2*h.w.timeout {
			return Decisions{}
		}
		d = h.Fail(h.pending.number, redis.OfRedis, now)
	}
	if h.dueSince != 0 {
		d.CallDue = now-h.dueSince >= lostDue
		return d
	}
	if h.paceIsOver(now) {
		h.setDue(now)
		d.CallDue = true
		return d
	}
	h.spendable(now)
	for h.closedLen > 0 && now-h.closing[0].sent > h.ttl+int64(h.limit.Window())+longestPause {
		h.forget(1) // Redis has forgotten it, too
	}
	if h.reportDue(now) && h.breakerAt(now) != breakerOpen {
		h.setDue(now)
		h.dueToSettle = true
		d.CallDue = true
	}
	return d
}

// reportDue says whether something should be reported to Redis now. Unused tokens are reported at once, as other
// proxies may be waiting for them. Used ones can wait for an eighth of a window, 1 s at most: they count for longer
// than they should only if they are not reported within a window. With a pace, the next call reports both.
func (h *Holder) reportDue(now int64) bool {
	if now-h.called < shortestPause {
		return false
	}
	if h.successes+h.failures > 0 && now-h.firstOutcome >= longestPause {
		return true
	}
	window := int64(h.limit.Window())
	patience, urgent := min(window/8, longestPause), int64(0)
	if h.paced() {
		patience, urgent = min(window/2, longestPause), 2*h.pace
	}
	for i := range h.closedLen {
		if (h.closing[i].urgent && now-h.called >= urgent) || now-h.closing[i].sent >= patience {
			return true
		}
	}
	return false
}

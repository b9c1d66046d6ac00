package lease

import (
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis"
)

// Ask is the call that is due, where there is one (ok), to be sent at once: now is its lease's start. Where Redis must not be
// called after all, those who wait for it have failed. The Ask is good until the next one, so it may be sent again, with the
// script's source, after NOSCRIPT: that is still the same call.
func (h *Holder) Ask(now int64) (ask *redis.Ask, a Answer, ok bool) {
	if h.dueSince == 0 || h.flight.number != 0 {
		return nil, Answer{}, false
	}
	h.dueSince = 0
	if h.w.gate.State(now) == GateClosed {
		return nil, Answer{Failed: h.fail()}, false
	}
	h.w.gate.sent(now, h.w.timeout)
	h.spendable(now) // closes what is done with
	h.flight = flight{number: h.w.number(), sent: now, reported: h.closes}
	h.called = now
	h.ask = redis.Ask{
		Holder: h.w.holder, Number: h.flight.number, Proxy: h.w.proxy,
		Need: int64(h.waiters), Want: h.want(now),
		Successes: h.successes, Failures: h.failures,
		Settled: h.closed[:h.closes],
	}
	// They are counted once, or not at all where the call gets lost.
	h.successes, h.failures = 0, 0
	return &h.ask, Answer{}, true
}

// want is how many tokens to ask for: those that are waited for, and what comes in the time that a lease is meant for.
func (h *Holder) want(now int64) int64 {
	if h.waiters == 0 && (h.settles || now < h.notBefore) {
		return 0
	}
	rate := h.demand.at(now)
	var size int64
	if h.ahead(rate) && h.opened < maxOpen {
		size = max(int64(rate*float64(min(horizon, h.ttl/2))), 1)
		if h.config.MaxTokens > 0 {
			size = min(size, h.config.MaxTokens)
		}
	}
	return max(size, int64(h.waiters))
}

// Reply takes Redis's answer to a call. One to a call that was given up is dropped: what it grants is lost, as its call was
// settled, or will be.
func (h *Holder) Reply(number int64, r redis.Reply, now int64) Answer {
	if number != h.flight.number || number == 0 {
		return Answer{Late: true}
	}
	sent := h.flight.sent
	h.w.gate.succeeded()
	h.forget(h.flight.reported)
	h.flight = flight{}
	h.seen = r
	h.trip += (now - sent - h.trip) / 4
	h.notBefore = 0
	if r.Remaining == 0 {
		h.pause(r, now)
	}
	if r.Granted > 0 {
		h.accept(r, sent)
	}
	a := Answer{Granted: h.serve(now)}
	switch {
	case h.waiters == 0:
	case r.Granted > 0 && now-sent >= h.ttl: // it came too late to be used
		a.Failed = h.fail()
	case r.Remaining == 0:
		a.Refused, a.RetryAfter = h.fail(), h.retryAfter(now)
	default:
		h.due(now)
		a.Call = true
	}
	return a
}

// serve gives tokens to those who wait.
func (h *Holder) serve(now int64) (served int) {
	for h.waiters > 0 {
		l := h.spendable(now)
		if l == nil {
			break
		}
		n := min(l.left, int64(h.waiters))
		h.spend(l, now, n)
		served += int(n)
		h.waiters -= int(n)
	}
	return served
}

// accept opens a lease.
func (h *Holder) accept(r redis.Reply, sent int64) {
	if h.opened == maxOpen {
		h.close()
	}
	h.open[h.opened] = lease{sent: sent, left: r.Granted, out: redis.Settlement{Number: h.ask.Number, At: r.At}}
	h.opened++
	// A call for more goes out early enough for its answer to come before the last token is gone.
	h.low = min(max(r.Granted/4, int64(h.demand.rate*float64(2*h.trip))), r.Granted/2)
}

// pause notes that nothing is left. Then the next call comes with the next token, 5 ms from now at least and 1 s at
// most (others may give back), and a little later: by up to 2 ms for each proxy, 100 ms at most, so that many proxies do not come all at once, nor more
// often than they can get something.
func (h *Holder) pause(r redis.Reply, now int64) {
	wait := max(int64(r.RetryAfter), 1)
	h.nextToken = now + wait
	spread := h.w.below(min(r.Live*int64(2*time.Millisecond), longestPause/10))
	h.notBefore = now + min(max(wait, shortestPause), longestPause) + spread
}

// Fail says that a call brought no answer that can be believed: an error, a timeout. All who wait have failed. Redis may
// have granted what was asked for: the next call gives it back.
func (h *Holder) Fail(number, now int64) Answer {
	if number != h.flight.number || number == 0 {
		return Answer{Late: true}
	}
	sent := h.flight.sent
	h.flight = flight{}
	h.w.gate.failed(now)
	if h.ask.Want > 0 {
		h.settle(&redis.Settlement{Number: number}, past{sent: sent, urgent: true})
	}
	return Answer{Failed: h.fail()}
}

// fail lets go of all who wait.
func (h *Holder) fail() int {
	n := h.waiters
	h.waiters = 0
	return n
}

// Tick is to be called now and then, every 10 to 50 ms: it gives up a call that had no answer for twice the timeout, calls
// again for a call that is due, and for one that settles what no request will.
func (h *Holder) Tick(now int64) Answer {
	var a Answer
	if h.flight.number != 0 {
		if now-h.flight.sent < 2*h.w.timeout {
			return Answer{}
		}
		a = h.Fail(h.flight.number, now)
	}
	if h.dueSince != 0 {
		a.Call = now-h.dueSince >= lostDue
		return a
	}
	h.spendable(now)
	for h.closes > 0 && now-h.past[0].sent > h.ttl+int64(h.limit.Window())+longestPause {
		h.forget(1) // Redis has forgotten it too
	}
	if h.unsettled(now) && h.w.gate.State(now) != GateClosed {
		h.due(now)
		h.settles = true
		a.Call = true
	}
	return a
}

// unsettled says whether something should be told to Redis now. What was not used others may be waiting for. What was used
// counts for longer than it should only if it is not told within a window.
func (h *Holder) unsettled(now int64) bool {
	if now-h.called < shortestPause {
		return false
	}
	if h.successes+h.failures > 0 && now-h.heard >= longestPause {
		return true
	}
	patience := min(int64(h.limit.Window())/8, longestPause)
	for i := range h.closes {
		if h.past[i].urgent || now-h.past[i].sent >= patience {
			return true
		}
	}
	return false
}

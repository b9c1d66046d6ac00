package lease

import (
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis"
)

// addLease opens the lease that a call brought.
func (h *Holder) addLease(r redis.Reply, of call) {
	if h.openLen == maxOpen {
		h.closeOldest()
	}
	h.open[h.openLen] = lease{sent: of.sent, left: r.Granted, out: redis.Settlement{Number: of.number, At: r.At}}
	h.openLen++
	// A call for more is made early enough for its reply to come before the last token is used.
	h.lowMark = min(max(r.Granted/4, int64(h.demand.rate*float64(2*h.roundTrip))), r.Granted/2)
}

// spendable is the oldest lease with a token that may be used, or nil. Leases that are used up or over are closed.
func (h *Holder) spendable(now int64) *lease {
	for h.openLen > 0 {
		l := &h.open[0]
		if l.left > 0 && now-l.sent < h.ttl {
			return l
		}
		h.closeOldest()
	}
	return nil
}

// spend uses n tokens. Their time is rounded up to whole microseconds, and is 1 µs later: see package redis.
func (h *Holder) spend(l *lease, now, n int64) {
	l.use((now-l.sent+999)/1000+1, h.step, int64(h.limit.TTL()/time.Microsecond), n)
}

// serveWaiters gives tokens to waiting requests.
func (h *Holder) serveWaiters(now int64) (served int) {
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

// closeOldest moves the oldest open lease to those that are to be reported.
func (h *Holder) closeOldest() {
	l := &h.open[0]
	h.settle(&l.out, closing{sent: l.sent, urgent: l.left > 0})
	copy(h.open[:], h.open[1:h.openLen])
	h.openLen--
}

// settle adds a lease to those that are to be reported. Where there is no room for it, one is never reported, and
// counts in Redis until it expires.
func (h *Holder) settle(s *redis.Settlement, c closing) {
	if h.closedLen == len(h.closed) {
		if h.pending.number != 0 { // the oldest ones are in that call
			return
		}
		h.forget(1)
	}
	h.closed[h.closedLen], h.closing[h.closedLen] = *s, c
	h.closedLen++
}

// forget drops the n oldest closed leases.
func (h *Holder) forget(n int) {
	copy(h.closed[:], h.closed[n:h.closedLen])
	copy(h.closing[:], h.closing[n:h.closedLen])
	h.closedLen -= n
}

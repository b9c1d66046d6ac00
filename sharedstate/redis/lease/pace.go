package lease

import (
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis"
)

// Many proxies that share a limit of more than maxCalls a second would make a call for each token: a Redis that is busy
// for 50 µs with each does 20,000 a second, and what comes later than that has no reply in time. So while tokens are
// scarce, a holder lets a time pass between its calls, in proportion to the proxies that have requests now, and asks for
// a batch. What comes shortly before the next call waits for it; what comes before is refused.
//
//	reply: 6 granted, 2 to requests that waited     next call, at 200 ms
//	─┬─────┬───┬────┬────┬──────────────────────────┬────────┬──►   1,000 proxies, 20,000 a second
//	 0     4 more are used     refused              152 ms: requests wait
//
// That needs no more calls than maxCalls a second, however many proxies there are, as a proxy's workers have one Pool.
const (
	maxCalls  = 5000
	callsGap  = int64(200 * time.Microsecond) // from one call of any proxy to the next, where all of them are paced
	batchRate = 3600                          // tokens a second for each token of a batch: some more than calls bring

	shortestPace = int64(50 * time.Millisecond) // fewer proxies than for that need no pace
	patience     = int64(48 * time.Millisecond) // how long before the next call requests wait for it

	// Redis has too much to do where a reply takes longer than slowReply. Then calls come less often.
	slowReply = int64(8 * time.Millisecond)

	// After a gap of quiet a holder's requests come in a burst, which may soon be over. Its first calls are not delayed,
	// each next one by at most half of the time since the burst began.
	quiet     = int64(300 * time.Millisecond)
	firstPace = int64(10 * time.Millisecond)
)

// batch is how many tokens a call should bring where it is paced; 0: this limit's calls are never paced.
func batch(limit *redis.Limit, config Config) int64 {
	perSecond := float64(limit.Requests()) / limit.Window().Seconds()
	tokens := int64(perSecond/batchRate) + 1
	if perSecond <= maxCalls || config.keyed || (config.MaxTokens > 0 && config.MaxTokens < tokens) {
		return 0
	}
	return tokens
}

// crowded says whether so many proxies have requests now that their calls are paced while tokens are scarce. Then all
// calls ask for batches.
func (h *Holder) crowded() bool { return h.batch > 0 && h.lastReply.Lately*callsGap >= shortestPace }

// paceAfter is the time from a call with this reply to the next one, while tokens are scarce or Redis is slow; 0: none.
// Took is how long the reply took, busy since when requests have been coming.
func (h *Holder) paceAfter(r redis.Reply, took, busy int64) (pace int64) {
	if !h.crowded() {
		return 0
	}
	usual := r.Lately * callsGap
	if r.Remaining <= r.Limit/4 {
		pace = int64(float64(usual) / (1 + float64(r.Remaining)/float64(r.Limit)))
		pace = min(pace, max(busy/2, firstPace))
	}
	if took > slowReply {
		pace = max(pace, min(10*took, usual))
	}
	return pace
}

// paced says whether the next call waits for its time.
func (h *Holder) paced() bool { return h.pace > 0 }

// noteBurst notes since when requests have been coming.
func (h *Holder) noteBurst(now int64) {
	if now-h.demand.last > quiet {
		h.busySince = now
	}
}

// waitsForPace says whether a request at time now, before notBefore, waits for the next call instead of being refused.
func (h *Holder) waitsForPace(now int64) bool {
	return h.paced() && now >= h.notBefore-min(patience, h.w.timeout) && h.waiters < h.config.MaxWaiters &&
		h.breakerAt(now) == breakerClosed
}

// paceIsOver says that requests have waited until the next call may be made.
func (h *Holder) paceIsOver(now int64) bool { return h.waiters > 0 && now >= h.notBefore }

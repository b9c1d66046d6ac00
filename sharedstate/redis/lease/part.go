package lease

import (
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis"
)

// Source is where a worker's tokens come from, and where its requests wait: a Holder of its own or its proxy's Pool.
type Source interface {
	CancelWaiting(n int)
	LastReply() (r redis.Reply, known bool)
	Held(now int64) (tokens int64)
	NextCall(now int64) (request *redis.LeaseRequest, d Decisions, ok bool)
	Reply(number int64, r redis.Reply, now int64) Decisions
	Fail(number int64, scope redis.Scope, now int64) Decisions
	// Wakes are the queues of other workers that are to be woken after a change, once.
	Wakes() []uint32
	// Identity is the same for one source as long as it is used, and another one for each.
	Identity() *Holder
}

// Part is a worker's part of a limit that is not counted by key. Where calls are paced, and a proxy gets few tokens a
// second, all its workers use one Pool; else each has a Holder, which costs nothing but memory.
type Part struct {
	own      *Holder
	pool     *Pool // nil: calls of this limit are never paced
	pooled   bool
	tryAfter int64 // the pool could not be used: not before
}

const (
	// maxPooled is how many tokens a second a proxy may have for its workers to use a pool: each request that a pool
	// admits is a compare-and-swap, some 25 µs.
	maxPooled = 200

	// Fewer proxies than that, as a part of those that lead to a pool, lead away from it.
	stillCrowded = 0.8

	poolRetry = int64(time.Second)
)

// NewPart is a worker's part of a limit: a holder of its own and its pool, nil if there can be none.
func NewPart(own *Holder, pool *Pool) *Part { return &Part{own: own, pool: pool} }

// Poolable says whether calls of a limit may be paced, so that a proxy may need a pool.
func Poolable(limit *redis.Limit, config Config) bool { return batch(limit, config) > 0 }

// Take requests one token at time now. A request that waits does so at from.
func (p *Part) Take(now int64) (from Source, v Verdict) {
	if p.pooled && now >= p.tryAfter && p.own.spendable(now) == nil {
		if v, ok := p.pool.Take(now); ok {
			return p.pool, v
		}
		p.tryAfter = now + poolRetry
	}
	return p.own, p.own.Take(now)
}

// Report is as Holder.Report. Where the pool can't be used, the worker's own calls report what came of its requests.
func (p *Part) Report(success bool, now int64) {
	if p.pooled && now >= p.tryAfter {
		p.pool.Report(success, now)
	} else {
		p.own.Report(success, now)
	}
}

// Held is the number of tokens that this worker knows of and can use at time now.
func (p *Part) Held(now int64) (tokens int64) {
	if p.pooled {
		tokens = p.pool.Held(now)
	}
	return tokens + p.own.Held(now)
}

// Failure is why the pool's record could not be changed since the last call, nil if it could: an error of the store, or other
// workers were faster each time. Requests then get their tokens by the worker's own calls.
func (p *Part) Failure() (err error) {
	if p.pool != nil {
		err, p.pool.failed = p.pool.failed, nil
	}
	return err
}

// LastReply is the last reply that this worker has seen.
func (p *Part) LastReply() (last redis.Reply, known bool) {
	last, known = p.own.LastReply()
	if p.pool != nil {
		if r, _ := p.pool.LastReply(); r.At > last.At {
			return r, true
		}
	}
	return last, known
}

// Tick is as Holder.Tick, for both sources. It calls each with the decisions of each.
func (p *Part) Tick(now int64, each func(from Source, d Decisions)) {
	each(p.own, p.own.Tick(now))
	if p.pool == nil {
		return
	}
	p.choose()
	if !p.pool.Idle(now) {
		each(p.pool, p.pool.Tick(now))
	}
}

// Reset drops all tokens: those of the pool once for each number of resets. They count in Redis until they expire.
// Requests that wait for a call are decided by its reply.
func (p *Part) Reset(resets uint32, now int64, each func(from Source, d Decisions)) {
	old := p.own
	p.own = NewHolder(old.w, old.limit, old.config)
	if !old.callPending() {
		each(old, Decisions{Failed: old.dropWaiters()})
	}
	if p.pool != nil {
		each(p.pool, p.pool.Reset(resets, now))
	}
}

// choose decides where the next requests get their tokens.
func (p *Part) choose() {
	last, known := p.LastReply()
	if !known {
		return
	}
	h := p.own
	proxies := float64(last.Lately)
	if p.pooled {
		proxies /= stillCrowded
	}
	perProxy := float64(h.limit.Requests()) / h.limit.Window().Seconds() / proxies
	p.pooled = proxies*float64(callsGap) >= float64(shortestPace) && perProxy <= maxPooled
}

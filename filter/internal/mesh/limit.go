package mesh

import (
	"strconv"
	"strings"
	"time"

	"github.com/dchest/siphash"

	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/compile"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/redis/lease"
)

// maxWaiting is how many requests of one key wait for Redis at a time in one worker. They wait for redis.timeout at
// most; further ones are treated as if Redis were unavailable.
const maxWaiting = 1024

// keysPerTick is how many holders of one limit's keys a tick visits.
const keysPerTick = 256

// Limit is one cluster's limit that all proxies share. It implements stage.Stage.
type Limit struct {
	client  *Client
	cluster string
	rules   *policy.RateLimit
	index   int
	limit   *redis.Limit
	leasing lease.Config

	part  *lease.Part // of the cluster as a whole; nil where the limit is counted by key
	place *redis.Place
	set   *lease.Set

	local     local
	reset     reset
	published int64 // Redis's time of the reply that was last published, microseconds
}

// NewLimit is the stage of a section with scope: mesh, at this index among the cluster's limits. While Redis is
// unavailable and on_error is local, the stage that newLocal makes of this proxy's share decides.
func (c *Client) NewLimit(cluster string, l *policy.RateLimit, index int, newLocal func(*ratelimit.Limiter) stage.Stage) *Limit {
	limit := &Limit{
		client: c, cluster: cluster, rules: l, index: index, local: local{make: newLocal},
		leasing: lease.Config{MaxTokens: l.Lease.MaxTokens, MaxWaiters: maxWaiting},
	}
	switch l.Algorithm {
	case policy.TokenBucket:
		limit.limit = redis.NewTokenBucket(l.Burst, l.Refill, l.Lease.TTL)
	case policy.Adaptive:
		limit.limit = redis.NewAdaptive(l.Requests, l.Window, l.Lease.TTL, compile.Adaptive(l))
	default:
		limit.limit = redis.NewSlidingWindow(l.Requests, l.Window, l.Lease.TTL)
	}
	if len(l.Key) == 0 {
		limit.part = c.newPart(limit)
	} else {
		limit.set = limit.newSet()
	}
	c.limits = append(c.limits, limit)
	return limit
}

// newPart is this worker's part of a limit that is not counted by key.
func (c *Client) newPart(l *Limit) *lease.Part {
	l.place = redis.NewPlace(c.config.KeyPrefix, l.cluster)
	var pool *lease.Pool
	if lease.Poolable(l.limit, l.leasing) {
		key := sharedstate.PoolKey(l.cluster)
		pool = lease.NewPool(c.leases, l.limit, l.leasing, c.worker.Store, key, c.identity(l), c.bridge.Queue())
	}
	return lease.NewPart(lease.NewHolder(c.leases, l.limit, l.leasing), pool)
}

// identity is that of what a limit's calls depend on: plugins that differ in it can't have one pool.
func (c *Client) identity(l *Limit) uint64 {
	r := c.config
	text := strings.Join([]string{
		r.Cluster, strconv.Itoa(int(r.Dialect)), r.Token, r.KeyPrefix, r.Timeout.String(),
		strconv.FormatInt(l.leasing.MaxTokens, 10), l.limit.Identity(),
	}, "\x00")
	return siphash.Hash(c.worker.Seed[0], c.worker.Seed[1], []byte(text))
}

func (l *Limit) newSet() *lease.Set {
	return lease.NewSet(l.client.leases, l.limit, l.leasing, l.client.config.KeyPrefix, l.cluster, l.rules.MaxKeys)
}

// dropTokens drops this worker's tokens, and those of its proxy's pool. They count in Redis until they expire.
func (l *Limit) dropTokens(resets uint32, now int64) {
	if l.set != nil {
		l.set = l.newSet()
		return
	}
	l.part.Reset(resets, now, func(from lease.Source, d lease.Decisions) { l.ticked(from, l.place, d, now) })
}

// take takes one token for an attempt: from is where it waits if it does, place where that is in Redis.
func (l *Limit) take(a *stage.Attempt, now int64) (from lease.Source, place *redis.Place, v lease.Verdict) {
	if l.set == nil {
		from, v = l.part.Take(now)
		return from, l.place, v
	}
	member := l.set.Get(a.Limits[l.index].Slot.Key)
	return &member.Holder, member.Place, member.Take(now)
}

// Admit implements stage.Stage: it takes one token, or makes the request wait for the reply to a call.
func (l *Limit) Admit(a *stage.Attempt, now int64) stage.Verdict {
	from, place, v := l.take(a, now)
	if v.CallDue || v.Decision == lease.Waiting {
		q := l.client.queue(from, place, l)
		if v.Decision == lease.Waiting {
			q.waiting = append(q.waiting, a)
			a.Wait(q)
		}
		if v.CallDue {
			l.client.scheduleCall(q)
		}
	}
	return l.decide(a, from, v, now)
}

// decide turns a verdict on tokens into the stage's.
func (l *Limit) decide(a *stage.Attempt, from lease.Source, v lease.Verdict, now int64) stage.Verdict {
	switch v.Decision {
	case lease.Granted:
		verdict := ratelimit.Verdict{Admitted: true}
		if l.rules.Headers == policy.HeadersAll || l.client.ShowRemaining {
			last, _ := from.LastReply()
			verdict.Remaining, verdict.Reset = last.Remaining+from.Held(now), l.limit.Window()
		}
		a.Limits[l.index].Verdict = verdict
		return stage.Verdict{}
	case lease.Refused:
		return l.refuse(a, v.RetryAfter)
	case lease.Waiting:
		return stage.Verdict{Pending: true}
	default:
		return l.withoutRedis(a, now)
	}
}

func (l *Limit) refuse(a *stage.Attempt, wait time.Duration) stage.Verdict {
	a.Limits[l.index].Verdict = ratelimit.Verdict{RetryAfter: wait, Reset: l.limit.Window()}
	return stage.Verdict{Reason: fallback.RateLimited, Wait: wait}
}

// Settle implements stage.Stage: it reports outcomes to an adaptive limit.
func (l *Limit) Settle(a *stage.Attempt, s stage.Settlement, now int64) (changed bool) {
	if l.rules.Algorithm != policy.Adaptive || !s.Known || s.Outcome == breaker.Neither {
		return false
	}
	success := s.Outcome == breaker.Success
	if l.set == nil {
		l.part.Report(success, now)
	} else {
		l.set.Find(a.Limits[l.index].Slot.Key).Report(success, now)
	}
	return false
}

func (l *Limit) tick(now int64) {
	if l.set == nil {
		l.part.Tick(now, func(from lease.Source, d lease.Decisions) { l.ticked(from, l.place, d, now) })
		return
	}
	l.set.Tick(now, keysPerTick, func(m *lease.Member, d lease.Decisions) { l.ticked(&m.Holder, m.Place, d, now) })
}

func (l *Limit) ticked(from lease.Source, place *redis.Place, d lease.Decisions, now int64) {
	for _, worker := range from.Wakes() {
		l.client.bridge.WakeWorker(worker)
	}
	if d == (lease.Decisions{}) {
		return
	}
	q := l.client.queue(from, place, l)
	l.client.deliver(q, d, now)
	l.client.release(q)
}

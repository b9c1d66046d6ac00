package mesh

import (
	"math"
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
	limit   *redis.Limit // where it is counted by key
	leasing lease.Config

	split  *lease.Split // of the cluster as a whole; nil where the limit is counted by key
	shards []shard      // of split
	set    *lease.Set

	local     local
	reset     reset
	published int64 // Redis's time of the reply that was last published, microseconds
}

// shard is a part of a limit: all of it where it is not split.
type shard struct {
	limit *redis.Limit
	place *redis.Place
	live  int64 // the proxies that use it, by its last reply to this worker; 0: there was none
}

// NewLimit is the stage of a section with scope: mesh, at this index among the cluster's limits. While Redis is
// unavailable and on_error is local, the stage that newLocal makes of this proxy's share decides.
func (c *Client) NewLimit(cluster string, l *policy.RateLimit, index int, newLocal func(*ratelimit.Limiter) stage.Stage) *Limit {
	limit := &Limit{
		client: c, cluster: cluster, rules: l, index: index, local: local{make: newLocal},
		leasing: lease.Config{MaxTokens: l.Lease.MaxTokens, MaxWaiters: maxWaiting},
	}
	if len(l.Key) == 0 {
		c.newShards(limit)
	} else {
		limit.limit = newLimit(l, 0, 1)
		limit.set = limit.newSet()
	}
	c.limits = append(c.limits, limit)
	return limit
}

// newLimit is the shard i of n, whose shares are the limit together.
func newLimit(l *policy.RateLimit, i, n int64) *redis.Limit {
	share := func(of int64) int64 { return (of + n - 1 - i) / n } // of 10 in 4: 3, 3, 2, 2
	switch l.Algorithm {
	case policy.TokenBucket:
		return redis.NewTokenBucket(share(l.Burst), l.Refill/float64(n), l.Lease.TTL)
	case policy.Adaptive:
		return redis.NewAdaptive(l.Requests, l.Window, l.Lease.TTL, compile.Adaptive(l))
	default:
		return redis.NewSlidingWindow(share(l.Requests), l.Window, l.Lease.TTL)
	}
}

// newShards makes this worker's part of a limit that is not counted by key.
func (c *Client) newShards(l *Limit) {
	n := max(l.rules.Shards, 1)
	parts := make([]*lease.Part, n)
	l.shards = make([]shard, n)
	for i := range parts {
		limit := newLimit(l.rules, int64(i), int64(n))
		l.shards[i] = shard{limit: limit, place: redis.NewShardPlace(c.config.KeyPrefix, l.cluster, i, n)}
		names := c.leases
		if n > 1 { // with a breaker of its own: another server has it
			names = c.leasesOf("-s" + strconv.Itoa(i))
		}
		var pool *lease.Pool
		if lease.Poolable(limit, l.leasing) {
			key := sharedstate.PoolKey(l.cluster, i)
			pool = lease.NewPool(names, limit, l.leasing, c.worker.Store, key, c.identity(limit, l.leasing), c.bridge.Queue())
		}
		parts[i] = lease.NewPart(lease.NewHolder(names, limit, l.leasing), pool)
	}
	l.split = lease.NewSplit(parts, c.worker.Random())
}

// identity is that of what a limit's calls depend on: plugins that differ in it can't have one pool.
func (c *Client) identity(l *redis.Limit, leasing lease.Config) uint64 {
	r := c.config
	text := strings.Join([]string{
		r.Cluster, strconv.Itoa(int(r.Dialect)), r.Token, r.KeyPrefix, r.Timeout.String(),
		strconv.FormatInt(leasing.MaxTokens, 10), l.Identity(),
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
	for i := range l.shards {
		l.split.Shard(i).Reset(resets, now, l.tickedShard(i, now))
	}
}

// take takes one token for an attempt, by its queue if the attempt has to wait or a call is due.
func (l *Limit) take(a *stage.Attempt, now int64) (from lease.Source, s shard, v lease.Verdict) {
	if l.set == nil {
		i, from, v := l.split.Take(now)
		return from, l.shards[i], v
	}
	member := l.set.Get(a.Limits[l.index].Slot.Key)
	return &member.Holder, shard{limit: l.limit, place: member.Place}, member.Take(now)
}

// Admit implements stage.Stage: it takes one token, or makes the request wait for the reply to a call.
func (l *Limit) Admit(a *stage.Attempt, now int64) stage.Verdict {
	v, from := l.admit(a, 0, now, now)
	return l.decide(a, from, v, now)
}

// admit takes one token for an attempt, for which so many shards had none after it waited, since then.
func (l *Limit) admit(a *stage.Attempt, had int, since, now int64) (lease.Verdict, lease.Source) {
	from, s, v := l.take(a, now)
	if v.CallDue || v.Decision == lease.Waiting {
		q := l.client.queue(from, s, l)
		if v.Decision == lease.Waiting {
			q.waiting = append(q.waiting, waiting{a, had, since})
			a.Wait(q)
		}
		if v.CallDue {
			l.client.scheduleCall(q)
		}
	}
	return v, from
}

// decide turns a verdict on tokens into the stage's.
func (l *Limit) decide(a *stage.Attempt, from lease.Source, v lease.Verdict, now int64) stage.Verdict {
	switch v.Decision {
	case lease.Granted:
		verdict := ratelimit.Verdict{Admitted: true}
		if l.rules.Headers == policy.HeadersAll || l.client.ShowRemaining {
			verdict.Remaining, verdict.Reset = l.remaining(from, now), l.window()
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
	a.Limits[l.index].Verdict = ratelimit.Verdict{RetryAfter: wait, Reset: l.window()}
	return stage.Verdict{Reason: fallback.RateLimited, Wait: wait}
}

// window is the limit's; for a bucket, the time it takes to fill.
func (l *Limit) window() time.Duration {
	if l.set != nil {
		return l.limit.Window()
	}
	return l.shards[0].limit.Window()
}

// remaining is how many tokens are left, as this worker knows: in Redis, and its own.
func (l *Limit) remaining(from lease.Source, now int64) (tokens int64) {
	if l.set != nil {
		last, _ := from.LastReply()
		return last.Remaining + from.Held(now)
	}
	for i := range l.shards {
		tokens += l.split.Shard(i).Held(now)
	}
	last, _ := l.lastReply()
	return tokens + last.Remaining
}

// lastReply is what Redis last said of all shards together. A shard that this worker has not asked yet counts as unused.
func (l *Limit) lastReply() (last redis.Reply, known bool) {
	if len(l.shards) == 1 {
		return l.split.Shard(0).LastReply()
	}
	for i := range l.shards {
		r, ok := l.split.Shard(i).LastReply()
		if !ok {
			r.Limit = l.shards[i].limit.Requests()
			r.Remaining = r.Limit
		}
		known = known || ok
		last.At, last.Limit, last.Remaining = max(last.At, r.At), last.Limit+r.Limit, last.Remaining+r.Remaining
	}
	return last, known
}

// liveProxies is by how many proxies to divide the limit for a proxy's share of it, after a shard's reply. Proxies need not
// use all shards: the share is the sum of those of the shards that this worker uses.
func (l *Limit) liveProxies(of *redis.Limit, live int64) int64 {
	if len(l.shards) <= 1 {
		return live
	}
	shares := 0.0
	for i := range l.shards {
		s := &l.shards[i]
		if s.limit == of {
			s.live = live
		}
		if s.live > 0 {
			shares += 1 / float64(s.live)
		}
	}
	return int64(math.Ceil(float64(len(l.shards)) / shares))
}

// Settle implements stage.Stage: it reports outcomes to an adaptive limit.
func (l *Limit) Settle(a *stage.Attempt, s stage.Settlement, now int64) (changed bool) {
	if l.rules.Algorithm != policy.Adaptive || !s.Known || s.Outcome == breaker.Neither {
		return false
	}
	success := s.Outcome == breaker.Success
	if l.set == nil {
		l.split.Shard(0).Report(success, now)
	} else {
		l.set.Find(a.Limits[l.index].Slot.Key).Report(success, now)
	}
	return false
}

func (l *Limit) tick(now int64) {
	if l.set == nil {
		for i := range l.shards {
			l.split.Shard(i).Tick(now, l.tickedShard(i, now))
		}
		return
	}
	l.set.Tick(now, keysPerTick, func(m *lease.Member, d lease.Decisions) {
		l.ticked(&m.Holder, shard{limit: l.limit, place: m.Place}, d, now)
	})
}

func (l *Limit) tickedShard(i int, now int64) func(from lease.Source, d lease.Decisions) {
	return func(from lease.Source, d lease.Decisions) { l.ticked(from, l.shards[i], d, now) }
}

func (l *Limit) ticked(from lease.Source, s shard, d lease.Decisions, now int64) {
	for _, worker := range from.Wakes() {
		l.client.bridge.WakeWorker(worker)
	}
	if d == (lease.Decisions{}) {
		return
	}
	q := l.client.queue(from, s, l)
	l.client.deliver(q, d, now)
	l.client.release(q)
}

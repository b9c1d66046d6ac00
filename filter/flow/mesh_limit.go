package flow

import (
	"time"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/redis/lease"
)

// maxWaiting is how many requests of one key wait for Redis at a time in one worker. They wait for redis.timeout at
// most; what comes beyond them is treated as if Redis were gone.
const maxWaiting = 1024

// meshLimit is one cluster's limit that all proxies share.
type meshLimit struct {
	mesh  *Mesh
	plan  *Plan
	rules *policy.RateLimit
	limit *redis.Limit

	holder *lease.Holder // of the cluster as a whole; nil where it is counted by key
	place  *redis.Place
	set    *lease.Set

	leasing lease.Config

	resets    int  // tries that are left to have Redis forget the limit; 0: nobody asked, or it did
	resetting bool // one is out

	told int64 // Redis's time of the answer that was last published, microseconds

	live int64 // proxies that plan.limiter, the share of this one, was made for; 0: none was yet
	of   int64 // and the limit
}

func newMeshLimit(m *Mesh, plan *Plan, l *policy.RateLimit) *meshLimit {
	limit := &meshLimit{mesh: m, plan: plan, rules: l}
	switch l.Algorithm {
	case policy.TokenBucket:
		limit.limit = redis.NewTokenBucket(l.Burst, l.Refill, l.Lease.TTL)
	case policy.Adaptive:
		limit.limit = redis.NewAdaptive(l.Requests, l.Window, l.Lease.TTL, adaptive(l))
	default:
		limit.limit = redis.NewSlidingWindow(l.Requests, l.Window, l.Lease.TTL)
	}
	config := lease.Config{MaxTokens: l.Lease.MaxTokens, MaxWaiters: maxWaiting}
	limit.leasing = config
	if len(l.Key) > 0 {
		limit.set = lease.NewSet(m.leases, limit.limit, config, m.conf.KeyPrefix, plan.cluster, l.MaxKeys)
	} else {
		limit.holder = lease.NewHolder(m.leases, limit.limit, config)
		limit.place = redis.NewPlace(m.conf.KeyPrefix, plan.cluster)
	}
	m.limits = append(m.limits, limit)
	return limit
}

// at is where a request's tokens are held.
func (l *meshLimit) at(x *Exchange) (*lease.Holder, *redis.Place) {
	if l.set == nil {
		return l.holder, l.place
	}
	member := l.set.Get(x.request.Key)
	return &member.Holder, member.Place
}

// take asks for one token. Where the request has to wait, x.queue says so.
func (l *meshLimit) take(x *Exchange, now int64) (reason fallback.Reason, wait time.Duration) {
	h, place := l.at(x)
	v := h.Take(now)
	if v.CallDue || v.Decision == lease.Waiting {
		q := l.mesh.queue(h, place, l)
		if v.Decision == lease.Waiting {
			q.waiting = append(q.waiting, x)
			x.queue = q
		}
		if v.CallDue {
			l.mesh.wants(q)
		}
	}
	return l.decide(x, h, v, now)
}

// decide makes a decision of a holder's verdict.
func (l *meshLimit) decide(x *Exchange, h *lease.Holder, v lease.Verdict, now int64) (reason fallback.Reason, wait time.Duration) {
	switch v.Decision {
	case lease.Granted:
		x.limit = ratelimit.Verdict{Admitted: true}
		if l.plan.limitHeaders == policy.HeadersAll {
			seen, _ := h.LastReply()
			x.limit.Remaining, x.limit.Reset = seen.Remaining+h.Held(now), l.limit.Window()
		}
		return fallback.None, 0
	case lease.Refused:
		x.limit = ratelimit.Verdict{RetryAfter: v.RetryAfter, Reset: l.limit.Window()}
		return fallback.RateLimited, v.RetryAfter
	case lease.Waiting:
		return fallback.None, 0
	default:
		return l.withoutRedis(x, now)
	}
}

// withoutRedis decides by redis.on_error.
func (l *meshLimit) withoutRedis(x *Exchange, now int64) (reason fallback.Reason, wait time.Duration) {
	switch l.mesh.conf.OnError {
	case policy.OnErrorAllow:
		x.limit = ratelimit.Verdict{}
		return fallback.None, 0
	case policy.OnErrorDeny:
		x.limit = ratelimit.Verdict{RetryAfter: time.Second, Reset: l.limit.Window()}
		return fallback.RateLimited, time.Second
	}
	plan := l.plan
	l.makeShare()
	var conflicts int
	var err error
	if plan.keyed != nil {
		x.at, x.limit, conflicts, err = plan.keyed.take(x.request.Key, now)
	} else {
		conflicts, err = plan.cell.Update(func() bool {
			plan.adoptLimit(now)
			x.limit = plan.limiter.Take(plan.record.Limit, now, 1)
			return x.limit.Store
		})
	}
	plan.observer.Conflicts(conflicts)
	if err != nil {
		return x.faulty(err)
	}
	if !x.limit.Admitted {
		return fallback.RateLimited, x.limit.RetryAfter
	}
	return fallback.None, 0
}

// makeShare makes the plan's own limiter one of this proxy's last fair share: the limit divided by the proxies that Redis
// saw last.
func (l *meshLimit) makeShare() {
	plan := l.plan
	live := l.mesh.worker.live(plan.cluster)
	of := l.rules.Requests
	if l.holder != nil && l.rules.Algorithm == policy.Adaptive {
		if seen, known := l.holder.LastReply(); known {
			of = seen.Limit
		}
	}
	if live == l.live && of == l.of {
		return
	}
	l.live, l.of = live, of
	if l.rules.Algorithm == policy.TokenBucket {
		plan.limiter = ratelimit.NewTokenBucket(lease.Share(l.rules.Burst, live), l.rules.Refill/float64(max(live, 1)))
	} else {
		plan.limiter = ratelimit.NewSlidingWindow(lease.Share(of, live), l.rules.Window)
	}
	plan.scratch = nil
	if l.set != nil {
		plan.keyed = newKeyed(plan.cluster, l.rules, plan.limiter, l.mesh.worker)
	}
}

// report tells how a request ended, for an adaptive limit.
func (l *meshLimit) report(x *Exchange, success bool, now int64) {
	if l.set == nil {
		l.holder.Report(success, now)
		return
	}
	l.set.Find(x.request.Key).Report(success, now)
}

func (l *meshLimit) tick(now int64) {
	if l.set == nil {
		l.ticked(l.holder, l.place, l.holder.Tick(now), now)
		return
	}
	l.set.Tick(now, keysPerTick, func(m *lease.Member, a lease.Decisions) { l.ticked(&m.Holder, m.Place, a, now) })
}

func (l *meshLimit) ticked(h *lease.Holder, place *redis.Place, a lease.Decisions, now int64) {
	if a == (lease.Decisions{}) {
		return
	}
	q := l.mesh.queue(h, place, l)
	l.mesh.deliver(q, a, now)
	l.mesh.forget(q)
}

// resumed goes on with a request that waited for Redis. The time that it waited is none of upstream's.
func (x *Exchange) resumed(q *queue, v lease.Verdict, now int64) Step {
	x.queue = nil
	if !x.plan.shadow {
		x.begun = now
	}
	reason, wait := q.limit.decide(x, q.holder, v, now)
	if reason != fallback.None {
		x.settleAndRelease(breaker.Neither, now)
	}
	if x.replay.stage == stageAsk {
		return x.send(reason, now)
	}
	return x.decided(reason, wait, now)
}

// stopWaiting takes a request out of the queue that its client has left.
func (x *Exchange) stopWaiting() {
	if x.queue != nil {
		x.queue.leave(x)
		x.queue = nil
	}
}

package mesh

import (
	"encoding/binary"
	"time"

	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/redis/lease"
)

// local is the limit that this proxy enforces by itself while Redis is unavailable: its fair share of the limit.
type local struct {
	make  func(*ratelimit.Limiter) stage.Stage
	stage stage.Stage // nil: not needed yet
	live  int64       // the number of proxies that it was made for
	of    int64       // the whole limit that it was made for
}

// withoutRedis decides by redis.on_error.
func (l *Limit) withoutRedis(a *stage.Attempt, now int64) stage.Verdict {
	switch l.client.config.OnError {
	case policy.OnErrorAllow:
		a.Limits[l.index].Verdict = ratelimit.Verdict{}
		return stage.Verdict{}
	case policy.OnErrorDeny:
		return l.refuse(a, time.Second)
	default:
		return l.share().Admit(a, now)
	}
}

// share is the stage of this proxy's last fair share: the limit divided by the proxies that Redis saw last.
func (l *Limit) share() stage.Stage {
	live := l.client.live(l.cluster)
	of := l.rules.Requests
	if l.set == nil && l.rules.Algorithm == policy.Adaptive {
		if last, known := l.lastReply(); known {
			of = last.Limit
		}
	}
	if l.local.stage == nil || live != l.local.live || of != l.local.of {
		l.local.live, l.local.of = live, of
		limiter := ratelimit.NewSlidingWindow(lease.Share(of, live), l.rules.Window)
		if l.rules.Algorithm == policy.TokenBucket {
			limiter = ratelimit.NewTokenBucket(lease.Share(l.rules.Burst, live), l.rules.Refill/float64(max(live, 1)))
		}
		l.local.stage = l.local.make(limiter)
	}
	return l.local.stage
}

// How many proxies share a limit comes with each reply of Redis, and is needed when Redis is unavailable. So it is kept
// in shared data, which outlives reloads and crashes of the VM.

// live is the number of proxies in Redis's last reply, redis.expected_proxies if it never replied.
func (c *Client) live(cluster string) int64 {
	n, known := c.proxies[cluster]
	if !known {
		n, _ = sharedstate.LiveProxies(c.worker.Store, cluster, c.config.ExpectedProxies) // an error: as many as expected
		c.proxies[cluster] = n
	}
	return n
}

// setLive stores the number that came with a reply.
func (c *Client) setLive(cluster string, n int64) {
	if c.live(cluster) == n {
		return
	}
	c.proxies[cluster] = n
	// The last writer wins, and an error leaves the number before it: a share may be a little wrong then.
	_ = c.worker.Store.Set(sharedstate.LiveKey(cluster), binary.LittleEndian.AppendUint64(nil, uint64(n)), 0)
}

package mesh

import (
	"slices"

	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/sharedstate/redis/lease"
)

// queue is a source of tokens for which a call is due or in flight, and the attempts that wait for it, in order. It
// implements stage.Queue.
type queue struct {
	from lease.Source
	shard
	of       *Limit
	waiting  []waiting
	due      bool  // a call is due
	inFlight int64 // the number of the call that is in flight, 0: none
}

// waiting is an attempt that waits.
type waiting struct {
	*stage.Attempt
	had   int   // shards that had no token for it after it had waited
	since int64 // when it first waited
}

// mostTimeouts is after how many of redis.timeout an attempt that waited asks no more shards. It ends within two more, before its
// stream passes undecided (8 of them and a second).
const mostTimeouts = 4

// queue finds or makes the queue of a source.
func (c *Client) queue(from lease.Source, s shard, of *Limit) *queue {
	q := c.queues[from.Identity()]
	if q == nil {
		q = &queue{from: from, shard: s, of: of}
		c.queues[from.Identity()] = q
		if _, ok := from.(*lease.Pool); ok {
			c.pools = append(c.pools, q)
		}
	}
	return q
}

// scheduleCall makes a source's call due, and wakes the bridge.
func (c *Client) scheduleCall(q *queue) {
	if !q.due {
		q.due = true
		c.due = append(c.due, q)
	}
	if !c.woken {
		c.woken = true
		c.bridge.Wake()
	}
}

// release deletes a queue that is not needed any more.
func (c *Client) release(q *queue) {
	if len(q.waiting) == 0 && !q.due && q.inFlight == 0 {
		delete(c.queues, q.from.Identity())
		if i := slices.Index(c.pools, q); i >= 0 {
			c.pools = slices.Delete(c.pools, i, i+1)
		}
	}
}

// decide decides the attempt that has waited the longest. Where this shard has no token for it, and others may have, it asks
// them.
func (q *queue) decide(v lease.Verdict, now int64) {
	if len(q.waiting) == 0 {
		return
	}
	w, from := q.waiting[0], q.from
	q.waiting[0] = waiting{}
	q.waiting = q.waiting[1:]
	inTime := now-w.since < mostTimeouts*int64(q.of.client.config.Timeout)
	if v.Decision != lease.Granted && w.had+1 < len(q.of.shards) && inTime {
		v, from = q.of.admit(w.Attempt, w.had+1, w.since, now)
		if v.Decision == lease.Waiting {
			return
		}
	}
	w.Waiter.Decided(q.of.decide(w.Attempt, from, v, now), now)
}

// Leave implements stage.Queue.
func (q *queue) Leave(attempt *stage.Attempt) {
	for i, other := range q.waiting {
		if other.Attempt == attempt {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			q.from.CancelWaiting(1)
			return
		}
	}
}

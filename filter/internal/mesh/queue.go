package mesh

import (
	"slices"

	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/redis/lease"
)

// queue is a source of tokens for which a call is due or in flight, and the attempts that wait for it, in order. It
// implements stage.Queue.
type queue struct {
	from     lease.Source
	place    *redis.Place
	limit    *Limit
	waiting  []*stage.Attempt
	due      bool  // a call is due
	inFlight int64 // the number of the call that is in flight, 0: none
}

// queue finds or makes the queue of a source.
func (c *Client) queue(from lease.Source, place *redis.Place, limit *Limit) *queue {
	q := c.queues[from.Identity()]
	if q == nil {
		q = &queue{from: from, place: place, limit: limit}
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

// decide decides the attempt that has waited the longest.
func (q *queue) decide(v lease.Verdict, now int64) {
	if len(q.waiting) == 0 {
		return
	}
	attempt := q.waiting[0]
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	attempt.Waiter.Decided(q.limit.decide(attempt, q.from, v, now), now)
}

// Leave implements stage.Queue.
func (q *queue) Leave(attempt *stage.Attempt) {
	for i, other := range q.waiting {
		if other == attempt {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			q.from.CancelWaiting(1)
			return
		}
	}
}

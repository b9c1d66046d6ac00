package mesh

import (
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/redis/lease"
)

// errTimeout is the error of a call without a reply.
var errTimeout = &redis.Error{Kind: redis.Unavailable, Detail: redis.NoReplyInTime}

// Ended handles the end of a call. Status 0: there was no reply in time.
func (c *Client) Ended(id uint32, status int, body []byte, now int64) {
	if c.resetEnded(id, status, body, now) {
		return
	}
	out := c.calls[id]
	if out == nil {
		return
	}
	delete(c.calls, id)
	var err error
	c.results, err = c.read(status, body, c.names(out))
	var unknown []part
	took := time.Duration(now - out.sent)
	for i := range out.parts {
		p := &out.parts[i]
		if p.queue.inFlight != p.number { // it was given up, and the holder may have another call in flight
			c.ended(failureOf(err), took)
			c.observer.Leased(LeaseLate)
			continue
		}
		failed := err
		var reply redis.Reply
		if failed == nil {
			reply, failed = p.queue.limit.Read(c.results[i], p.request)
		}
		switch {
		case failed == nil:
			c.ended(nil, took)
			c.replied(p, reply, now)
		case redis.IsNoScript(failed) && !out.source:
			unknown = append(unknown, *p)
		case err != nil: // of the whole call
			c.ended(failureOf(err), took)
			c.lost(p, p.queue.from.Fail(p.number, redis.OfRedis, now), now)
		default:
			failure := partFailure(failed, p.queue.of.cluster)
			c.ended(failure, took)
			c.lost(p, p.queue.from.Fail(p.number, failure.Scope(), now), now)
		}
	}
	c.sendAll(unknown, true, now)
}

// names returns one command for each part of a call, with its name only: a dialect needs that to read the replies.
func (c *Client) names(out *call) []redis.Command {
	name := "EVALSHA"
	if out.source {
		name = "EVAL"
	}
	for i := range out.parts {
		if i == len(c.commands) {
			c.commands = append(c.commands, redis.Command{})
		}
		c.commands[i].Clear()
		c.commands[i].Text(name)
	}
	return c.commands[:len(out.parts)]
}

func (c *Client) read(status int, body []byte, commands []redis.Command) ([]redis.Result, error) {
	if status == 0 {
		return c.results[:0], errTimeout
	}
	return c.dialect.Results(c.results[:0], status, body, commands)
}

// replied handles Redis's reply to a part.
func (c *Client) replied(p *part, reply redis.Reply, now int64) {
	q := p.queue
	q.inFlight = 0
	c.setLive(q.of.cluster, q.of.liveProxies(q.limit, reply.Live))
	wanted := p.request.Want
	decisions := q.from.Reply(p.number, reply, now)
	switch {
	case decisions.Late:
		c.observer.Leased(LeaseLate)
	case reply.Granted > 0:
		c.observer.Leased(LeaseGranted)
	case wanted > 0:
		c.observer.Leased(LeaseRefused)
	default:
		c.observer.Leased(LeaseSettled)
	}
	c.deliver(q, decisions, now)
	c.release(q)
}

// lost handles a part without a valid reply.
func (c *Client) lost(p *part, decisions lease.Decisions, now int64) {
	c.observer.Leased(LeaseLost)
	p.queue.inFlight = 0
	c.deliver(p.queue, decisions, now)
	c.release(p.queue)
}

// deliver decides the attempts that waited, in order.
func (c *Client) deliver(q *queue, d lease.Decisions, now int64) {
	for _, worker := range q.from.Wakes() {
		c.bridge.WakeWorker(worker)
	}
	for range d.Granted {
		q.decide(lease.Verdict{Decision: lease.Granted}, now)
	}
	for range d.Refused {
		q.decide(lease.Verdict{Decision: lease.Refused, RetryAfter: d.RetryAfter}, now)
	}
	for range d.Failed {
		q.decide(lease.Verdict{Decision: lease.RedisDown}, now)
	}
	if d.CallDue {
		c.scheduleCall(q)
	}
}

package mesh

import (
	"errors"
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// What is published of mesh limits, and how an operator's reset reaches Redis.
//
// An admin's worker may have neither the cluster nor the leases, nor even a way to Redis: it counts up Record.Resets. Each
// worker that has the cluster notices that at its next heartbeat and drops its leases; one of them, the first to claim the
// reset in the registry, has Redis forget the limit. Other proxies' leases stay until they expire.

// Publish tells how this worker's calls go.
func (c *Client) Publish(now int64) error {
	c.expireResets(now)
	if !c.last.known {
		return nil
	}
	c.last.known = false
	return registry.PublishRedisCall(c.worker.Store, c.last.failed, now)
}

// Publish tells what Redis last replied to this worker, and returns what it last replied to any.
func (l *Limit) Publish(now int64) (registry.RedisView, error) {
	if l.holder == nil {
		return registry.RedisView{}, nil
	}
	store := l.client.worker.Store
	if last, known := l.holder.LastReply(); known && last.At != l.published {
		view := registry.RedisView{
			PublishedAt: now, RedisTime: last.At, Limit: last.Limit, Remaining: last.Remaining,
			SuccessRatio: last.Ratio, SuccessRatioKnown: last.RatioKnown,
		}
		if err := view.Publish(store, l.cluster); err != nil {
			return registry.RedisView{}, err
		}
		l.published = last.At
	}
	return registry.ReadRedisView(store, l.cluster)
}

// reset is an operator's reset on its way to Redis.
type reset struct {
	tries    int  // that are left; 0: none is wanted, or it is done
	inFlight bool // a call is
}

// resetTries bounds how often it is tried, once a heartbeat.
const resetTries = 30

// Resetting reports whether a reset has not reached Redis yet.
func (l *Limit) Resetting() bool { return l.reset.tries != 0 }

// Reset drops this worker's leases, and has Redis forget the limit unless another worker does. What is in flight is
// answered by the holders that were asked. A call that fails is made again with the next heartbeats. Resets is
// Record.Resets.
func (l *Limit) Reset(resets uint32, now int64) error {
	c := l.client
	if l.reset.tries == 0 {
		l.newHolders()
		mine, err := registry.ClaimReset(c.worker.Store, l.cluster, resets)
		if err != nil || !mine {
			return err
		}
		l.reset.tries = resetTries
	}
	if l.reset.inFlight {
		return nil
	}
	l.reset.tries--
	place := l.place
	if place == nil {
		place = redis.NewKeyedPlace(c.config.KeyPrefix, l.cluster, "-", l.rules.MaxKeys)
	}
	commands := make([]redis.Command, 1)
	place.Reset(&commands[0], true)
	request := c.dialect.Request(commands)
	id, err := c.bridge.Send(&request)
	if err != nil {
		c.ended(err, 0)
		l.resetEnded(errors.New("not sent"))
		return nil
	}
	c.resets[id] = &resetCall{limit: l, commands: commands, sent: now}
	l.reset.inFlight = true
	return nil
}

// resetEnded takes the end of one try.
func (l *Limit) resetEnded(err error) {
	l.reset.inFlight = false
	switch {
	case err == nil:
		l.reset.tries = 0
		l.client.observer.ResetDone(l.cluster)
	case l.reset.tries == 0:
		l.client.observer.ResetFailed(l.cluster)
	}
}

// resetCall is a reset that is out.
type resetCall struct {
	limit    *Limit
	commands []redis.Command
	sent     int64
}

// expireResets ends calls whose end Envoy never told; they are tried again.
func (c *Client) expireResets(now int64) {
	for id, out := range c.resets {
		if c.isOverdue(out.sent, now) {
			delete(c.resets, id)
			out.limit.resetEnded(errTimeout)
		}
	}
}

// resetEnded takes the end of a call, if it was a reset.
func (c *Client) resetEnded(id uint32, status int, body []byte, now int64) (was bool) {
	out, was := c.resets[id]
	if !was {
		return false
	}
	delete(c.resets, id)
	results, err := c.read(status, body, out.commands)
	if err == nil && len(results) == 1 {
		err = results[0].Err
	}
	c.ended(err, time.Duration(now-out.sent))
	out.limit.resetEnded(err)
	return true
}

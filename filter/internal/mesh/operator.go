package mesh

import (
	"errors"
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// How the state of mesh limits is published, and how an operator's reset reaches Redis.
//
// The worker of the admin API may have neither the cluster nor its leases, nor a connection to Redis: it increments
// Record.Resets. Each worker that has the cluster sees that at its next heartbeat and drops its leases. The first one
// that claims the reset in the registry has Redis delete the limit. Leases of other proxies stay until they expire.

// Publish publishes how this worker's calls since the last time ended. Its errors are also those of the pools' records.
func (c *Client) Publish(now int64) error {
	c.expireResets(now)
	since := c.sinceBeat
	c.sinceBeat = registry.CallsSince{}
	err := since.Publish(c.worker.Store, now)
	for _, l := range c.limits {
		for i := range l.shards {
			if failed := l.split.Shard(i).Failure(); failed != nil {
				err = errors.Join(err, errors.New("the pool of leases of "+l.cluster+" could not be changed, this worker leases by itself for a second: "+failed.Error()))
			}
		}
	}
	return err
}

// Publish publishes Redis's last reply to this worker, and returns its last reply to any worker with the same numbers.
func (l *Limit) Publish(now int64) (registry.RedisView, error) {
	if l.set != nil {
		return registry.RedisView{}, nil
	}
	store := l.client.worker.Store
	if last, known := l.lastReply(); known && last.At != l.published {
		view := registry.RedisView{
			PublishedAt: now, RedisTime: last.At, Limit: last.Limit, Remaining: last.Remaining,
			SuccessRatio: last.Ratio, SuccessRatioKnown: last.RatioKnown,
		}
		if err := view.Publish(store, l.cluster, l.rules); err != nil {
			return registry.RedisView{}, err
		}
		l.published = last.At
	}
	return registry.ReadRedisView(store, l.cluster, l.rules)
}

// reset is an operator's reset on its way to Redis.
type reset struct {
	tries    int  // that are left; 0: no reset is under way
	inFlight bool // its call is in flight
	done     int  // shards that Redis has deleted
}

// resetTries bounds the tries of a reset, one each heartbeat.
const resetTries = 30

// Resetting reports whether a reset has not reached Redis yet.
func (l *Limit) Resetting() bool { return l.reset.tries != 0 }

// Reset drops this worker's leases, and has Redis delete the limit unless another worker does. Requests that wait are
// decided by the earlier holders. A call that fails is repeated at the next heartbeats. Resets is Record.Resets.
func (l *Limit) Reset(resets uint32, now int64) error {
	c := l.client
	if l.reset.tries == 0 {
		l.dropTokens(resets, now)
		mine, err := registry.ClaimReset(c.worker.Store, l.cluster, resets)
		if err != nil || !mine {
			return err
		}
		l.reset.tries, l.reset.done = resetTries, 0
	}
	if l.reset.inFlight {
		return nil
	}
	l.reset.tries--
	l.sendReset(now)
	return nil
}

// sendReset has Redis delete the next shard of the limit.
func (l *Limit) sendReset(now int64) {
	c := l.client
	s := shard{limit: l.limit}
	if l.set == nil {
		s = l.shards[l.reset.done]
	} else {
		s.place = redis.NewKeyedPlace(c.config.KeyPrefix, l.cluster, "-", l.rules.MaxKeys)
	}
	commands := make([]redis.Command, 1)
	s.limit.Reset(&commands[0], s.place, true)
	request := c.dialect.Request(commands)
	id, err := c.bridge.Send(&request)
	if err != nil {
		err = notSent(err)
		c.ended(failureOf(err), 0)
		l.resetEnded(err, now)
		return
	}
	c.resets[id] = &resetCall{limit: l, commands: commands, sent: now}
	l.reset.inFlight = true
}

// resetEnded handles the end of one try.
func (l *Limit) resetEnded(err error, now int64) {
	l.reset.inFlight = false
	switch {
	case err == nil && l.reset.done+1 < len(l.shards):
		l.reset.done++
		l.sendReset(now)
	case err == nil:
		l.reset.tries = 0
		l.client.observer.ResetDone(l.cluster)
	case l.reset.tries == 0:
		l.client.observer.ResetFailed(l.cluster)
	}
}

// resetCall is the call of a reset that is in flight.
type resetCall struct {
	limit    *Limit
	commands []redis.Command
	sent     int64
}

// expireResets gives up calls whose end Envoy did not report; they are tried again.
func (c *Client) expireResets(now int64) {
	for id, out := range c.resets {
		if c.isOverdue(out.sent, now) {
			delete(c.resets, id)
			out.limit.resetEnded(errTimeout, now)
		}
	}
}

// resetEnded handles the end of a call if it was a reset.
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
	c.ended(partFailure(err, out.limit.cluster), time.Duration(now-out.sent))
	out.limit.resetEnded(err, now)
	return true
}

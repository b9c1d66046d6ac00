package flow

import (
	"time"

	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/directory"
	"github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/redis/lease"
)

// What is published of a mesh's limits, and how an operator's reset reaches Redis.
//
// An admin's worker may have neither the plan nor the leases, nor even a way to Redis: it counts up Record.Resets. Each
// worker that has the plan notices that at its next beat and lets go of its leases; one of them, who is the first to say
// so in directory.Carried, has Redis forget the limit. Other proxies' leases stay with them until they expire.

// callWatch notes how calls end on their way to the observer.
type callWatch struct {
	RedisObserver
	called, failed bool // since the last beat; of the last call
}

// Called implements RedisObserver.
func (w *callWatch) Called(err error, took time.Duration) {
	w.called, w.failed = true, err != nil
	w.RedisObserver.Called(err, took)
}

// publish tells how this worker's calls go.
func (m *Mesh) publish(now int64) error {
	m.forgetResets(now)
	if !m.watch.called {
		return nil
	}
	m.watch.called = false
	return directory.PublishCall(m.worker.store, m.watch.failed, now)
}

// publish tells what Redis told this worker last, and reads what it told any.
func (l *meshLimit) publish(told *directory.Told, now int64) error {
	if l.holder == nil {
		return nil
	}
	store, cluster := l.mesh.worker.store, l.plan.cluster
	if seen, known := l.holder.LastReply(); known && seen.At != l.told {
		err := directory.Told{
			At: now, Asked: seen.At, Limit: seen.Limit, Remaining: seen.Remaining, Ratio: seen.Ratio, RatioKnown: seen.RatioKnown,
		}.Publish(store, cluster)
		if err != nil {
			return err
		}
		l.told = seen.At
	}
	_, err := sharedstate.NewCell(store, directory.ToldKey(cluster), told).Load()
	return err
}

// resetTries bounds how often a reset is tried to be carried on, once a beat.
const resetTries = 30

// reset lets go of this worker's leases, and has Redis forget the limit, if nobody else does. What is in flight is
// answered by the holders that it was asked for. A call that fails is made again with the next beats.
func (l *meshLimit) reset(resets uint32, now int64) error {
	m := l.mesh
	if l.resets == 0 {
		if l.set != nil {
			l.set = lease.NewSet(m.leases, l.limit, l.leasing, m.conf.KeyPrefix, l.plan.cluster, l.rules.MaxKeys)
		} else {
			l.holder = lease.NewHolder(m.leases, l.limit, l.leasing)
		}
		mine, err := directory.Carry(m.worker.store, l.plan.cluster, resets)
		if err != nil || !mine {
			return err
		}
		l.resets = resetTries
	}
	if l.resetting {
		return nil
	}
	l.resets--
	place := l.place
	if place == nil {
		place = redis.NewKeyedPlace(m.conf.KeyPrefix, l.plan.cluster, "-", l.rules.MaxKeys)
	}
	commands := make([]redis.Command, 1)
	place.Reset(&commands[0], true)
	request := m.dialect.Request(commands)
	id, err := m.bridge.Call(&request)
	if err != nil {
		m.observer.Called(err, 0)
		l.resetFailed()
		return nil
	}
	if m.resets == nil {
		m.resets = map[uint32]resetCall{}
	}
	m.resets[id] = resetCall{limit: l, commands: commands, sent: now}
	l.resetting = true
	return nil
}

// resetFailed tells where a try was the last one.
func (l *meshLimit) resetFailed() {
	if l.resets == 0 {
		l.mesh.observer.NotForgotten(l.plan.cluster)
	}
}

// resetCall is a reset that is out.
type resetCall struct {
	limit    *meshLimit
	commands []redis.Command
	sent     int64
}

// forgetResets lets go of calls whose end nobody told: very wrong, and tried again with the next beat.
func (m *Mesh) forgetResets(now int64) {
	for id, c := range m.resets {
		if now-c.sent > int64(giveUp+4*m.conf.Timeout) {
			delete(m.resets, id)
			c.limit.resetting = false
			c.limit.resetFailed()
		}
	}
}

// resetAnswered takes the end of a call, if it was a reset.
func (m *Mesh) resetAnswered(id uint32, status int, body []byte, now int64) (was bool) {
	c, was := m.resets[id]
	if !was {
		return false
	}
	delete(m.resets, id)
	results, err := m.read(status, body, c.commands)
	if err == nil && len(results) == 1 {
		err = results[0].Err
	}
	m.observer.Called(err, time.Duration(now-c.sent))
	c.limit.resetting = false
	if err == nil {
		c.limit.resets = 0
		m.observer.Forgotten(c.limit.plan.cluster)
	} else {
		c.limit.resetFailed()
	}
	return true
}

package simulation

import (
	"math/rand/v2"
	"time"
)

const (
	milli  = int64(time.Millisecond)
	second = int64(time.Second)
)

// network is what lies between the workers and Redis.
type network struct {
	loss float64 // of messages, each way
	late float64 // of messages, each way: 10 to 200 ms more, where the timeout is 50
	busy int64   // how long Redis is with one call; it does one at a time
	dice *rand.Rand
}

// lost says whether a message is.
func (n *network) lost() bool { return n.loss > 0 && n.dice.Float64() < n.loss }

// delay is a message's way, one way: 0.1 to 1 ms, one of a hundred up to 10 ms more.
func (n *network) delay() int64 {
	d := milli/10 + n.dice.Int64N(milli*9/10)
	if n.dice.Float64() < 0.01 {
		d += n.dice.Int64N(10 * milli)
	}
	if n.late > 0 && n.dice.Float64() < n.late {
		d += 10*milli + n.dice.Int64N(190*milli)
	}
	return d
}

// pauses are how long Redis stops, from one time to the next: every 4 s.
var pauses = [...]int64{200 * milli, 500 * milli, second, 2 * second}

const pauseEvery = 4 * second

// pause lets Redis stop for the i-th time. What has come by then, and comes meanwhile, is answered afterwards, in its
// order.
func (m *mesh) pause(i int) {
	length := pauses[i%len(pauses)]
	for i := range m.free {
		m.free[i] = max(m.free[i], m.clock.now) + length
	}
	m.clock.after(pauseEvery, func() { m.pause(i + 1) })
}

// send carries a call to the Redis of a shard and its answer back. arrived runs at Redis and makes the answer; answered runs where the
// answer comes home, if it does.
func (m *mesh) send(shard int, arrived func() (answered func())) {
	if m.network.lost() {
		return
	}
	m.clock.after(m.network.delay(), func() {
		start := max(m.clock.now, m.free[shard])
		m.free[shard] = start + m.network.busy
		m.clock.after(start-m.clock.now, func() {
			answered := arrived()
			if !m.network.lost() {
				m.clock.after(m.network.busy+m.network.delay(), answered)
			}
		})
	})
}

package simulation

import (
	"math/rand/v2"
	"time"
)

const (
	milli  = int64(time.Millisecond)
	second = int64(time.Second)

	// service is how long Redis is busy with one call; it does one at a time.
	service = int64(50 * time.Microsecond)
)

// network is what lies between the workers and Redis.
type network struct {
	loss  float64 // of messages, each way
	late  float64 // of messages, each way: 10 to 200 ms more, where the timeout is 50
	pause bool    // Redis stops for 0.2 to 2 s, every 3 s on average
	dice  *rand.Rand
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

// pauses lets Redis stop now and then. What has come by then, and comes meanwhile, is answered afterwards, in its order.
func (m *mesh) pauses() {
	m.clock.after(int64(m.dice.ExpFloat64()*3*float64(second)), func() {
		length := 200*milli + m.dice.Int64N(1800*milli)
		m.free = max(m.free, m.clock.now) + length
		m.clock.after(length, m.pauses)
	})
}

// send carries a call to Redis and its answer back. arrived runs at Redis and makes the answer; answered runs where the answer comes
// home, if it does.
func (m *mesh) send(arrived func() (answered func())) {
	if m.network.lost() {
		return
	}
	m.clock.after(m.network.delay(), func() {
		start := max(m.clock.now, m.free)
		m.free = start + service
		m.clock.after(start-m.clock.now, func() {
			answered := arrived()
			if !m.network.lost() {
				m.clock.after(service+m.network.delay(), answered)
			}
		})
	})
}

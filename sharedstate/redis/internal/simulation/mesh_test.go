package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/redis/lease"
)

const (
	timeout    = 50 * milli    // of a call, as redis.timeout
	tickEvery  = 20 * milli    // flow.TickEvery
	wake       = milli / 50    // from a stream's callback to the plugin's, which makes the call
	maxWaiting = 1024          // as in package flow
	lifetime   = 20 * second   // of a proxy on average, where they crash
	downtime   = 500 * milli   // until another one takes a crashed one's place
	upstream   = 20 * milli    // until an outcome is known
	held       = 5 * time.Hour // a moment that no test reaches
)

// caller is Redis: server, or what compares it with another.
type caller interface {
	do(c *redis.Command, now int64) redis.Result
}

// mesh is proxies that share a limit.
type mesh struct {
	clock   clock
	dice    *rand.Rand
	network network
	redis   caller
	free    int64 // when Redis has done all that came
	ahead   int64 // of Redis's clock, negative where it was set back
	limit   *redis.Limit
	keys    *redis.Place
	config  lease.Config
	healthy func(now int64) float64 // the success rate of upstream, for an adaptive limit
	places  []*place
	workers int // so far
	log     *log
	broken  error // the first violation
}

// place is where a proxy runs. When it crashes, another one replaces it.
type place struct {
	id      int
	workers []*worker // none: it is down
}

// worker is one of a proxy's, with its part of the limit, used as the filter uses it.
type worker struct {
	mesh    *mesh
	place   *place
	name    string
	holder  *lease.Holder
	ahead   int64 // its clock's zero is another one
	waiting []int64
	woken   bool
	crashed bool
}

// join starts a proxy.
func (m *mesh) join(p *place) {
	proxy := fmt.Sprintf("p%d-%d", p.id, m.workers)
	p.workers = p.workers[:0]
	for range *size {
		m.workers++
		w := &worker{mesh: m, place: p, name: fmt.Sprintf("%s-%d", proxy, m.workers), ahead: m.dice.Int64N(int64(held))}
		names := lease.NewWorker(w.name, proxy, time.Duration(timeout), m.dice.Uint64())
		w.holder = lease.NewHolder(names, m.limit, m.config)
		p.workers = append(p.workers, w)
		var tick func()
		tick = func() {
			if !w.crashed {
				w.deliver(w.holder.Tick(w.now()))
				m.clock.after(tickEvery, tick)
			}
		}
		m.clock.after(m.dice.Int64N(tickEvery), tick)
	}
}

// crashes ends a proxy after a random time. Its leases and its waiting requests are lost.
func (m *mesh) crashes(p *place) {
	m.clock.after(int64(m.dice.ExpFloat64()*float64(lifetime)), func() {
		for _, w := range p.workers {
			w.crashed = true
		}
		p.workers = nil
		m.clock.after(downtime, func() {
			m.join(p)
			m.crashes(p)
		})
	})
}

// request is one request, at any of a proxy's workers.
func (m *mesh) request(p *place) {
	if len(p.workers) == 0 {
		return
	}
	w := p.workers[m.dice.IntN(len(p.workers))]
	m.log.offered(p.id, m.clock.now)
	v := w.holder.Take(w.now())
	switch v.Decision {
	case lease.Granted:
		w.admitted(m.clock.now)
	case lease.Waiting:
		w.waiting = append(w.waiting, m.clock.now)
	case lease.Refused:
		if v.RetryAfter <= 0 {
			m.fault("refused: got RetryAfter %v, want one above 0", v.RetryAfter)
		}
	case lease.QueueFull, lease.RedisDown:
		m.log.failed(1, m.clock.now)
	default:
		m.fault("got decision %v, want a known one", v.Decision)
	}
	if v.CallDue {
		w.wake()
	}
}

func (m *mesh) fault(format string, args ...any) {
	if m.broken == nil {
		m.broken = fmt.Errorf("at %v: %s", time.Duration(m.clock.now), fmt.Sprintf(format, args...))
	}
}

func (w *worker) now() int64 { return w.mesh.clock.now + w.ahead }

// admitted counts a request that arrived at time came.
func (w *worker) admitted(came int64) {
	m := w.mesh
	m.log.admitted(w, m.clock.now, m.clock.now-came)
	if m.healthy != nil {
		success := m.dice.Float64() < m.healthy(m.clock.now)
		m.clock.after(upstream, func() { w.holder.Report(success, w.now()) })
	}
}

// deliver applies decisions to the waiting requests, in order.
func (w *worker) deliver(a lease.Decisions) {
	if a.Granted+a.Refused+a.Failed > len(w.waiting) {
		w.mesh.fault("%s: %+v, and %d wait", w.name, a, len(w.waiting))
		return
	}
	for _, came := range w.waiting[:a.Granted] {
		w.admitted(came)
	}
	for _, came := range w.waiting[a.Granted : a.Granted+a.Refused+a.Failed] {
		w.mesh.log.waited(w.mesh.clock.now, w.mesh.clock.now-came)
	}
	w.mesh.log.failed(a.Failed, w.mesh.clock.now)
	w.waiting = slices.Delete(w.waiting, 0, a.Granted+a.Refused+a.Failed)
	if a.CallDue {
		w.wake()
	}
}

// wake plans the call that is due.
func (w *worker) wake() {
	if !w.woken {
		w.woken = true
		w.mesh.clock.after(wake, w.call)
	}
}

func (w *worker) call() {
	w.woken = false
	if w.crashed {
		return
	}
	req, a, ok := w.holder.NextCall(w.now())
	w.deliver(a)
	if ok {
		w.send(req, false)
	}
}

// send makes a call; with the script's source if Redis does not know it.
func (w *worker) send(req *redis.LeaseRequest, source bool) {
	m := w.mesh
	sent := *req // an answer may come when the holder has made the next one
	sent.Settled = nil
	command := &redis.Command{}
	m.limit.Command(command, m.keys, req, source)
	answered := false
	m.send(func() func() {
		r := m.redis.do(command, epoch+(m.clock.now+m.ahead)/1000)
		m.log.called(w, &sent, r, m.clock.now)
		return func() {
			if w.crashed {
				return
			}
			reply, err := m.limit.Read(r, &sent)
			switch {
			case answered || err == nil:
				a := w.holder.Reply(sent.Number, reply, w.now())
				if answered && !a.Late {
					m.fault("%s: the answer to call %d was taken after it had failed", w.name, sent.Number)
				}
				answered = true
				w.deliver(a)
			case redis.IsNoScript(err) && !source:
				answered = true
				w.send(req, true)
			default:
				m.fault("%s: %+v is answered by %v: %v", w.name, sent, r.Ints, err)
			}
		}
	})
	m.clock.after(timeout, func() {
		if !w.crashed && !answered {
			answered = true
			w.deliver(w.holder.Fail(sent.Number, redis.OfRedis, w.now()))
		}
	})
}

package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weir-mesh/weir/sharedstate"
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
	free    []int64 // when each Redis has done all that came
	ahead   int64   // of Redis's clock, negative where it was set back
	limit   *redis.Limit
	shards  []shard
	config  lease.Config
	healthy func(now int64) float64 // the success rate of upstream, for an adaptive limit
	places  []*place
	workers map[uint32]*worker // all so far, by their queues
	log     *log
	broken  error // the first violation
}

// shard is a part of the limit, in a Redis of its own.
type shard struct {
	limit *redis.Limit
	keys  *redis.Place
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
	split   *lease.Split
	ahead   int64 // its proxy's clock has another zero
	lines   map[lease.Source]*line
	crashed bool
}

// line is the requests that wait for tokens of one source, by the times at which they came.
type line struct {
	worker  *worker
	from    lease.Source
	shard   int
	waiting []waiting
	woken   bool
}

// waiting is a request that waits.
type waiting struct {
	came int64
	had  int // shards that had no token for it after it had waited
}

// join starts a proxy.
func (m *mesh) join(p *place) {
	proxy := fmt.Sprintf("p%d-%d", p.id, len(m.workers))
	p.workers = p.workers[:0]
	ahead, store := m.dice.Int64N(int64(held)), sharedstate.NewMemory()
	for range *size {
		queue := uint32(len(m.workers) + 1)
		w := &worker{mesh: m, place: p, name: fmt.Sprintf("%s-%d", proxy, queue), ahead: ahead, lines: map[lease.Source]*line{}}
		parts := make([]*lease.Part, len(m.shards))
		for i, s := range m.shards {
			names := lease.NewWorker(fmt.Sprintf("%s-s%d", w.name, i), proxy, time.Duration(timeout), m.dice.Uint64())
			var pool *lease.Pool
			if *size > 1 && lease.Poolable(s.limit, m.config) {
				pool = lease.NewPool(names, s.limit, m.config, store, fmt.Sprint("pool ", i), 1, queue)
			}
			parts[i] = lease.NewPart(lease.NewHolder(names, s.limit, m.config), pool)
		}
		w.split = lease.NewSplit(parts, m.dice.Uint64())
		p.workers = append(p.workers, w)
		m.workers[queue] = w
		var tick func()
		tick = func() {
			if !w.crashed {
				for i := range m.shards {
					w.split.Shard(i).Tick(w.now(), func(from lease.Source, d lease.Decisions) { w.deliver(i, from, d) })
				}
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
	w.request(waiting{came: m.clock.now})
}

// request is one that has come, or that waited for a shard without a token.
func (w *worker) request(r waiting) {
	m := w.mesh
	shard, from, v := w.split.Take(w.now())
	switch v.Decision {
	case lease.Granted:
		w.admitted(r.came)
	case lease.Waiting:
		l := w.line(shard, from)
		l.waiting = append(l.waiting, r)
	case lease.Refused:
		if v.RetryAfter <= 0 {
			m.fault("refused: got RetryAfter %v, want one above 0", v.RetryAfter)
		}
		if r.had > 0 {
			m.log.waited(m.clock.now, m.clock.now-r.came)
		}
	case lease.QueueFull, lease.RedisDown:
		m.log.failed(1, m.clock.now)
	default:
		m.fault("got decision %v, want a known one", v.Decision)
	}
	if v.CallDue {
		w.line(shard, from).wake()
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
		m.clock.after(upstream, func() { w.split.Shard(0).Report(success, w.now()) })
	}
}

func (w *worker) line(shard int, from lease.Source) *line {
	l := w.lines[from]
	if l == nil {
		l = &line{worker: w, from: from, shard: shard}
		w.lines[from] = l
	}
	return l
}

// deliver applies decisions to the requests that wait for a source, in order, and wakes other workers.
func (w *worker) deliver(shard int, from lease.Source, a lease.Decisions) {
	for _, queue := range from.Wakes() {
		w.mesh.clock.after(wake, w.mesh.workers[queue].wokenUp)
	}
	if a == (lease.Decisions{}) {
		return
	}
	l := w.line(shard, from)
	if a.Granted+a.Refused+a.Failed > len(l.waiting) {
		w.mesh.fault("%s: %+v, and %d wait", w.name, a, len(l.waiting))
		return
	}
	n := a.Granted + a.Refused + a.Failed
	decided := slices.Clone(l.waiting[:n])
	l.waiting = slices.Delete(l.waiting, 0, n)
	for i, r := range decided {
		switch r.had++; {
		case i < a.Granted:
			w.admitted(r.came)
		case r.had < len(w.mesh.shards):
			w.request(r)
		default:
			w.mesh.log.waited(w.mesh.clock.now, w.mesh.clock.now-r.came)
			if i >= a.Granted+a.Refused {
				w.mesh.log.failed(1, w.mesh.clock.now)
			}
		}
	}
	if a.CallDue {
		l.wake()
	}
}

// wokenUp is what a worker does when another one has woken it.
func (w *worker) wokenUp() {
	for from, l := range w.lines {
		if pool, ok := from.(*lease.Pool); ok && !w.crashed {
			w.deliver(l.shard, pool, pool.Tick(w.now()))
		}
	}
}

// wake plans the call that is due.
func (l *line) wake() {
	if !l.woken {
		l.woken = true
		l.worker.mesh.clock.after(wake, l.call)
	}
}

func (l *line) call() {
	l.woken = false
	w := l.worker
	if w.crashed {
		return
	}
	req, a, ok := l.from.NextCall(w.now())
	w.deliver(l.shard, l.from, a)
	if ok {
		l.send(req, false)
	}
}

// send makes a call; with the script's source if Redis does not know it.
func (l *line) send(req *redis.LeaseRequest, source bool) {
	w := l.worker
	m, shard := w.mesh, w.mesh.shards[l.shard]
	sent := *req // an answer may come when the holder has made the next one
	sent.Settled = nil
	command := &redis.Command{}
	shard.limit.Command(command, shard.keys, req, source)
	answered := false
	m.send(l.shard, func() func() {
		r := m.redis.do(command, epoch+(m.clock.now+m.ahead)/1000)
		m.log.called(w, &sent, r, m.clock.now)
		return func() {
			if w.crashed {
				return
			}
			reply, err := shard.limit.Read(r, &sent)
			switch {
			case answered || err == nil:
				a := l.from.Reply(sent.Number, reply, w.now())
				if answered && !a.Late {
					m.fault("%s: the answer to call %d was taken after it had failed", w.name, sent.Number)
				}
				answered = true
				w.deliver(l.shard, l.from, a)
			case redis.IsNoScript(err) && !source:
				answered = true
				l.send(req, true)
			default:
				m.fault("%s: %+v is answered by %v: %v", w.name, sent, r.Ints, err)
			}
		}
	})
	m.clock.after(timeout, func() {
		if !w.crashed && !answered {
			answered = true
			w.deliver(l.shard, l.from, l.from.Fail(sent.Number, redis.OfRedis, w.now()))
		}
	})
}

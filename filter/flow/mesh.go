package flow

import (
	"strconv"
	"time"

	"github.com/dchest/siphash"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/redis/lease"
)

// TickEvery is how often Tick is wanted where there is a mesh.
const TickEvery = 20 * time.Millisecond

// giveUp is how long after its timeout the end of a call is waited for: Envoy tells of each, unless something is very wrong.
const giveUp = time.Second

// keysPerTick is how many holders of one limit's keys are looked at in a tick.
const keysPerTick = 256

// Bridge is the way out: to Redis, and back to the streams that wait for it.
type Bridge interface {
	// Wake has Mesh.Calls called soon, from where a call outlives the stream that caused it.
	Wake()
	// Call sends a request. How it ended is told to Mesh.Answered, by this id, after Call has returned.
	Call(r *redis.Request) (id uint32, err error)
	// Resume goes on with a stream that was paused.
	Resume(stream uint32, step Step)
}

// RedisObserver hears what becomes of calls to Redis.
type RedisObserver interface {
	// Called tells how one ended: nil, or an error of package redis, and how long it took.
	Called(err error, took time.Duration)
	// Leased tells what one brought.
	Leased(l LeaseResult)
	// Forgotten tells that Redis has forgotten a cluster's limit, which an operator has reset.
	Forgotten(cluster string)
	// NotForgotten tells that it has not, and that nobody tries any more.
	NotForgotten(cluster string)
}

// LeaseResult is what a call to Redis brought for one limit.
type LeaseResult uint8

// The results of a call for one limit.
const (
	LeaseGranted LeaseResult = iota // some tokens
	LeaseRefused                    // none: the limit is used up
	LeaseSettled                    // none were asked for: it only told what became of others
	LeaseLost                       // no answer that can be believed
	LeaseLate                       // an answer to a call that was given up
)

// String is the result's name in the metric's label.
func (r LeaseResult) String() string {
	return [...]string{"granted", "refused", "settled", "lost", "late"}[r]
}

// Mesh is one plugin's part of the limits that all proxies share through Redis: the holders of leases, the calls that are
// out, and the requests that wait for them. What is leased is spent from this worker's own memory, so a request asks
// nobody; a call is made in the background, before the tokens are gone. Package lease says why that never admits too many.
type Mesh struct {
	conf     *policy.Redis
	worker   *Worker
	leases   *lease.Worker
	dialect  redis.Dialect
	bridge   Bridge
	observer RedisObserver // watch, which tells whoever looks
	watch    *callWatch
	limits   []*meshLimit
	name     string

	queues map[*lease.Holder]*queue
	due    []*queue
	woken  bool
	out    map[uint32]*call
	resets map[uint32]resetCall // that are out

	commands []redis.Command // of the request that is being built
	results  []redis.Result
}

// queue is a holder for which a call is due or out, and the requests that wait for it, in order.
type queue struct {
	holder  *lease.Holder
	place   *redis.Place
	limit   *meshLimit
	waiting []*Exchange
	due     bool  // a call is
	out     int64 // the number of the one that is out, 0: none is
}

// call is a request that is out.
type call struct {
	parts  []part
	sent   int64
	source bool // it has the scripts' sources
}

// part is what a call asks for one holder.
type part struct {
	queue  *queue
	number int64
	ask    *redis.LeaseRequest // the holder's: that of this call as long as queue.out is its number
}

// NewMesh joins the mesh. The holder's name is this worker's, and nobody's again: a reload's is another one.
func NewMesh(conf *policy.Redis, w *Worker, bridge Bridge, observer RedisObserver) *Mesh {
	m := &Mesh{
		conf: conf, worker: w, bridge: bridge, watch: &callWatch{RedisObserver: observer},
		queues: map[*lease.Holder]*queue{}, out: map[uint32]*call{},
	}
	m.observer = m.watch
	if conf.Dialect == policy.DialectUpstash {
		m.dialect = redis.NewUpstash(conf.Token)
	} else {
		m.dialect = &redis.Webdis{}
	}
	w.meshes++
	proxy := strconv.FormatUint(siphash.Hash(w.seed[0], w.seed[1], []byte("proxy")), 36)
	holder := proxy + "-" + strconv.FormatUint(uint64(w.id), 36) + "-" + strconv.FormatUint(uint64(w.meshes), 36)
	m.name = holder
	m.leases = lease.NewWorker(holder, proxy, conf.Timeout, siphash.Hash(w.seed[0], w.seed[1], []byte(holder)))
	return m
}

// keySeed is what keys are hashed with. All proxies must do it alike, also while a token is being replaced, so it is no
// secret. Who could choose keys that meet would share a limit with somebody whose key he could as well have sent.
func (m *Mesh) keySeed() (seed [2]uint64) {
	seed[0], seed[1] = siphash.Hash128(0x5765_6972, 1, []byte("weir keys\x00"+m.conf.KeyPrefix))
	return seed
}

// wants notes that a holder has a call to make.
func (m *Mesh) wants(q *queue) {
	if !q.due {
		q.due = true
		m.due = append(m.due, q)
	}
	if !m.woken {
		m.woken = true
		m.bridge.Wake()
	}
}

// queue is a holder's.
func (m *Mesh) queue(h *lease.Holder, place *redis.Place, limit *meshLimit) *queue {
	q := m.queues[h]
	if q == nil {
		q = &queue{holder: h, place: place, limit: limit}
		m.queues[h] = q
	}
	return q
}

// Calls makes the calls that are due.
func (m *Mesh) Calls(now int64) {
	m.woken = false
	due := m.due
	m.due = nil
	parts := make([]part, 0, len(due))
	for _, q := range due {
		q.due = false
		ask, answer, ok := q.holder.NextCall(now)
		m.deliver(q, answer, now)
		if ok {
			q.out = ask.Number
			parts = append(parts, part{q, ask.Number, ask})
		} else {
			m.forget(q)
		}
	}
	for len(parts) > 0 {
		n := min(len(parts), m.dialect.MaxCommands())
		m.send(parts[:n:n], false, now)
		parts = parts[n:]
	}
}

// send makes one call.
func (m *Mesh) send(parts []part, source bool, now int64) {
	for len(m.commands) < len(parts) {
		m.commands = append(m.commands, redis.Command{})
	}
	for i := range parts {
		q := parts[i].queue
		q.limit.limit.Command(&m.commands[i], q.place, parts[i].ask, source)
	}
	request := m.dialect.Request(m.commands[:len(parts)])
	id, err := m.bridge.Call(&request)
	if err != nil {
		m.observer.Called(err, 0)
		for i := range parts {
			m.lost(&parts[i], now)
		}
		return
	}
	m.out[id] = &call{parts: parts, sent: now, source: source}
}

// Answered takes the end of a call. Status 0: there was no answer in time.
func (m *Mesh) Answered(id uint32, status int, body []byte, now int64) {
	if m.resetAnswered(id, status, body, now) {
		return
	}
	c := m.out[id]
	if c == nil {
		return
	}
	delete(m.out, id)
	name := "EVALSHA"
	if c.source {
		name = "EVAL"
	}
	for i := range c.parts { // a dialect looks for as many answers, by the commands' names
		if i == len(m.commands) {
			m.commands = append(m.commands, redis.Command{})
		}
		m.commands[i].Clear()
		m.commands[i].Text(name)
	}
	var err error
	m.results, err = m.read(status, body, m.commands[:len(c.parts)])
	var unknown []part
	for i := range c.parts {
		p := &c.parts[i]
		if p.queue.out != p.number { // it was given up, and another call of the same holder is out
			m.observer.Called(err, time.Duration(now-c.sent))
			m.observer.Leased(LeaseLate)
			continue
		}
		failed := err
		var reply redis.Reply
		if failed == nil {
			reply, failed = p.queue.limit.limit.Read(m.results[i], p.ask)
		}
		switch {
		case failed == nil:
			m.observer.Called(nil, time.Duration(now-c.sent))
			m.replied(p, reply, now)
		case redis.IsNoScript(failed) && !c.source:
			unknown = append(unknown, *p)
		default:
			m.observer.Called(failed, time.Duration(now-c.sent))
			m.lost(p, now)
		}
	}
	for len(unknown) > 0 {
		n := min(len(unknown), m.dialect.MaxCommands())
		m.send(unknown[:n:n], true, now)
		unknown = unknown[n:]
	}
}

// errTimeout is a call without an answer.
var errTimeout = &redis.Error{Kind: redis.Unavailable, Detail: "no answer in time"}

func (m *Mesh) read(status int, body []byte, commands []redis.Command) ([]redis.Result, error) {
	if status == 0 {
		return m.results[:0], errTimeout
	}
	return m.dialect.Results(m.results[:0], status, body, commands)
}

func (m *Mesh) replied(p *part, reply redis.Reply, now int64) {
	q := p.queue
	q.out = 0
	m.worker.knowsLive(q.limit.plan.cluster, reply.Live)
	wanted := p.ask.Want
	answer := q.holder.Reply(p.number, reply, now)
	switch {
	case answer.Late:
		m.observer.Leased(LeaseLate)
	case reply.Granted > 0:
		m.observer.Leased(LeaseGranted)
	case wanted > 0:
		m.observer.Leased(LeaseRefused)
	default:
		m.observer.Leased(LeaseSettled)
	}
	m.deliver(q, answer, now)
	m.forget(q)
}

func (m *Mesh) lost(p *part, now int64) {
	m.observer.Leased(LeaseLost)
	p.queue.out = 0
	m.deliver(p.queue, p.queue.holder.Fail(p.number, now), now)
	m.forget(p.queue)
}

// deliver tells those who waited, the first first.
func (m *Mesh) deliver(q *queue, a lease.Decisions, now int64) {
	for range a.Granted {
		m.resume(q, lease.Verdict{Decision: lease.Granted}, now)
	}
	for range a.Refused {
		m.resume(q, lease.Verdict{Decision: lease.Refused, RetryAfter: a.RetryAfter}, now)
	}
	for range a.Failed {
		m.resume(q, lease.Verdict{Decision: lease.RedisDown}, now)
	}
	if a.CallDue {
		m.wants(q)
	}
}

func (m *Mesh) resume(q *queue, v lease.Verdict, now int64) {
	if len(q.waiting) == 0 {
		return
	}
	x := q.waiting[0]
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	step := x.resumed(q, v, now)
	if !x.plan.shadow { // in shadow it was never paused
		m.bridge.Resume(x.request.Stream, step)
	}
}

// forget lets go of a queue that nobody needs.
func (m *Mesh) forget(q *queue) {
	if len(q.waiting) == 0 && !q.due && q.out == 0 {
		delete(m.queues, q.holder)
	}
}

// Forget lets go of all limits, whose plans are made anew: what they hold counts in Redis until it expires.
func (m *Mesh) Forget() { m.limits = nil }

// Name is this mesh's, and no other's in this process or any other.
func (m *Mesh) Name() string { return m.name }

// Tick is to be called every TickEvery.
func (m *Mesh) Tick(now int64) {
	for id, c := range m.out {
		if now-c.sent > int64(giveUp+4*m.conf.Timeout) { // the holders gave it up long ago
			delete(m.out, id)
			for i := range c.parts {
				if p := &c.parts[i]; p.queue.out == p.number {
					p.queue.out = 0
					m.forget(p.queue)
				}
			}
		}
	}
	for _, l := range m.limits {
		l.tick(now)
	}
	if len(m.due) > 0 {
		m.Calls(now)
	}
}

// leave takes a request out that no longer waits.
func (q *queue) leave(x *Exchange) {
	for i, other := range q.waiting {
		if other == x {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			q.holder.CancelWaiting(1)
			return
		}
	}
}

package lease

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/redis"
)

// Pool is the part of a limit that all workers of a proxy have together, where each alone would get too few tokens: a
// Holder in shared data.
//
//	worker 1 ─ Take ─► a token ◄┐
//	worker 2 ─ Take ─► waits    │ record: a holder of its own name   ◄─ the reply, by the worker that made the call
//	worker 3 ─ Tick ─► nothing ─┘
//
// Each change of the record is one compare-and-swap: read, changed as a Holder changes, and stored unless somebody was
// faster. So the record goes only through states that one Holder has that is used by one goroutine, and what package
// redis proves of a holder holds for the pool. Its name is drawn when the record is made, from the name of the worker
// that makes it. A worker reads the clock before it changes the record, another one may be faster: a time before the
// latest change counts as that one. So a use is never reported as earlier than it was.
//
// A call belongs to the worker whose change made it pending; only this one sends it. Where that worker's VM crashes, any
// worker gives the call up at its tick, twice the timeout after it was sent. A living worker's call has ended before.
//
// Requests wait in their worker. The record counts them until the next call ends, names the queues of their workers, and
// each worker then decides on its own ones: the one that has the reply at once, the others when they are woken, or at
// their next tick.
type Pool struct {
	name       string // of the worker, for the names of records that it makes
	made       int
	identity   uint64
	queue      uint32
	maxWaiting int
	cell       *sharedstate.Cell
	record     poolRecord
	loaded     []byte // the record, as it was before the change
	packed     []byte // and after it

	// of this worker
	waiting             int    // requests
	seen                uint64 // calls of the record that its waiting requests have been decided on
	arrived, arrivedAt  int64  // requests that are not in the record's demand yet, and when the first one came
	left                int    // requests that wait no more, and count in the record
	successes, failures int64  // that are not in the record yet
	firstOutcome        int64
	refuseUntil         int64 // nothing can be had before, as the record was last seen
	nextToken           int64
	idle                bool // so was the record when it was last seen

	request redis.LeaseRequest
	settled [redis.MaxSettled]redis.Settlement
	wakes   []uint32

	op     operation
	failed error // why the record could not be changed; nil: it could since Part.Failure was called
}

// operation is one change of the record, with what it is about and what came of it.
type operation struct {
	kind    opKind
	now     int64
	number  int64
	reply   redis.Reply
	scope   redis.Scope
	resets  uint32
	verdict Verdict
	d       Decisions
	called  bool     // NextCall has a request
	wakes   []uint32 // the workers whose requests are to be decided
	merged  bool     // what this worker had is in the record
	foreign bool     // another configuration uses the record
}

type opKind uint8

const (
	opTake opKind = iota
	opTick
	opNextCall
	opReply
	opFail
	opReset
)

// unusedAfter is after how long without changes a record of another configuration is replaced.
const unusedAfter = int64(10 * time.Second)

// NewPool is a worker's way to the pool of its proxy, in a store under a key. Identity is that of the limit's
// configuration, of the Redis and of the names there: a record of another one is left alone while it is in use. Queue is
// what wakes this worker; 0: nothing does.
func NewPool(w *Worker, limit *redis.Limit, config Config, store sharedstate.Store, key string, identity uint64, queue uint32) *Pool {
	p := &Pool{name: w.holder, identity: identity, queue: queue, maxWaiting: max(config.MaxWaiters, 1), idle: true}
	config.MaxWaiters = math.MaxInt        // the record counts those of all workers
	seed := uint64(w.below(math.MaxInt64)) // another one for each pool of this worker: two must not number their calls alike
	own := NewWorker("", w.proxy, time.Duration(w.timeout), seed)
	p.record.holder = NewHolder(own, limit, config)
	p.cell = sharedstate.NewCell(store, key, &p.record)
	return p
}

// Take requests one token at time now. ok is false where the pool can't be used.
func (p *Pool) Take(now int64) (v Verdict, ok bool) {
	if p.arrived == 0 {
		p.arrivedAt = now
	}
	p.arrived++
	if now < p.refuseUntil {
		return Verdict{Decision: Refused, RetryAfter: time.Duration(p.nextToken - now)}, true
	}
	if p.waiting >= p.maxWaiting {
		return Verdict{Decision: QueueFull}, true
	}
	if !p.do(operation{kind: opTake, now: now}) {
		p.arrived--
		return Verdict{}, false
	}
	if p.op.verdict.Decision == Waiting {
		p.waiting++
	}
	return p.op.verdict, true
}

// CancelWaiting says that n of this worker's waiting requests wait no more.
func (p *Pool) CancelWaiting(n int) {
	n = min(n, p.waiting)
	p.waiting -= n
	p.left += n
}

// Report counts a request's outcome, for an adaptive limit.
func (p *Pool) Report(success bool, now int64) {
	if p.successes+p.failures == 0 {
		p.firstOutcome = now
	}
	if success {
		p.successes++
	} else {
		p.failures++
	}
}

// LastReply is the last reply of Redis, as this worker has seen the record. known is false before the first one.
func (p *Pool) LastReply() (r redis.Reply, known bool) { return p.record.holder.LastReply() }

// Held is the number of tokens that the record had when this worker saw it last, and that can be used at time now.
func (p *Pool) Held(now int64) (tokens int64) { return p.record.holder.Held(now) }

// NextCall is as Holder.NextCall. Where two workers were told that a call is due, one of them gets it.
func (p *Pool) NextCall(now int64) (request *redis.LeaseRequest, d Decisions, ok bool) {
	if !p.do(operation{kind: opNextCall, now: now}) {
		return nil, Decisions{}, false
	}
	if !p.op.called {
		return nil, p.op.d, false
	}
	return &p.request, p.op.d, true
}

// Reply takes Redis's reply to a call of this worker. A reply to a call that was given up is dropped.
func (p *Pool) Reply(number int64, r redis.Reply, now int64) Decisions {
	if !p.do(operation{kind: opReply, now: now, number: number, reply: r}) {
		return Decisions{Late: true} // a tick gives the call up
	}
	return p.op.d
}

// Fail is as Holder.Fail, of a call of this worker.
func (p *Pool) Fail(number int64, scope redis.Scope, now int64) Decisions {
	if !p.do(operation{kind: opFail, now: now, number: number, scope: scope}) {
		return Decisions{Late: true}
	}
	return p.op.d
}

// Tick is as Holder.Tick; it also decides on requests of this worker that waited for the call of another one. So it is
// to be called when the worker was woken, too.
func (p *Pool) Tick(now int64) Decisions {
	if p.Idle(now) {
		return Decisions{}
	}
	if !p.do(operation{kind: opTick, now: now}) {
		return Decisions{}
	}
	return p.op.d
}

// Idle says that neither the record, as this worker saw it last, nor this worker has anything to do.
func (p *Pool) Idle(int64) bool {
	return p.idle && p.waiting == 0 && p.arrived == 0 && p.left == 0 && p.successes+p.failures == 0
}

// Reset drops the pool's leases, once for each number of resets, which is not 0.
func (p *Pool) Reset(resets uint32, now int64) Decisions {
	p.do(operation{kind: opReset, now: now, resets: resets})
	return p.op.d
}

// Identity implements Source.
func (p *Pool) Identity() *Holder { return p.record.holder }

// Wakes implements Source.
func (p *Pool) Wakes() []uint32 {
	wakes := p.wakes
	p.wakes = nil
	return wakes
}

// do makes a change. It reports whether the record could be used: it can't be while another configuration uses it, or
// where other workers were faster each time.
func (p *Pool) do(op operation) (ok bool) {
	op.wakes = p.op.wakes
	p.op = op
	_, err := p.cell.Apply((*poolChange)(p))
	if err != nil {
		p.failed = err
	}
	if err != nil || p.op.foreign {
		p.op.d = Decisions{}
		if p.op.foreign && op.kind != opTake { // Take decides on no request that waits
			p.op.d.Failed, p.waiting = p.waiting, 0
		}
		p.refuseUntil, p.idle = 0, p.op.foreign
		return p.op.d.Failed > 0
	}
	h, now := p.record.holder, max(op.now, p.record.latest)
	if p.op.merged {
		p.arrived, p.left, p.successes, p.failures = 0, 0, 0, 0
		p.seen = p.record.calls
	}
	p.wakes = append(p.wakes, p.op.wakes...)
	d := &p.op.d
	p.waiting -= d.Granted + d.Refused + d.Failed
	p.idle = h.Idle(now)
	p.refuseUntil, p.nextToken = 0, max(h.nextToken, h.notBefore)
	if h.Held(now) == 0 && now < h.notBefore {
		p.refuseUntil = h.notBefore
		if h.paced() {
			p.refuseUntil -= min(patience, h.w.timeout)
		}
	}
	return true
}

// poolChange is p.op as a sharedstate.Change.
type poolChange Pool

// Apply implements sharedstate.Change.
func (c *poolChange) Apply() sharedstate.Effect {
	p := (*Pool)(c)
	r, op := &p.record, &p.op
	op.verdict, op.d, op.called, op.wakes, op.merged, op.foreign = Verdict{}, Decisions{}, false, op.wakes[:0], false, false
	if r.exists && r.identity != p.identity && op.now-r.latest < unusedAfter {
		op.foreign = true
		r.clear() // its tokens and its reply are not this worker's
		return sharedstate.Dropped
	}
	p.loaded = r.AppendTo(p.loaded[:0])
	if !r.exists || r.identity != p.identity || (op.kind == opReset && r.resets != op.resets) {
		p.create()
	}
	if op.kind == opTake && p.undecided() {
		op.verdict.Decision = Waiting // behind those that are decided as soon as this worker is woken
		return sharedstate.Dropped
	}
	now := max(op.now, r.latest)
	p.merge(now)
	p.apply(now)
	if op.kind != opTake {
		p.decide(now)
	}
	if p.packed = r.AppendTo(p.packed[:0]); bytes.Equal(p.loaded, p.packed) {
		return sharedstate.Unchanged
	}
	r.latest = now
	return sharedstate.Changed
}

// create makes the record another one, without tokens.
func (p *Pool) create() {
	r, w := &p.record, p.record.holder.w
	r.clear()
	p.made++
	w.holder = p.name + "-pool" + strconv.Itoa(p.made)
	w.last = w.below(1 << 52)
	r.exists, r.identity, r.resets, r.calls = true, p.identity, p.op.resets, uint64(w.below(1<<52))
}

// undecided says that requests of this worker wait, and a call has ended since.
func (p *Pool) undecided() bool { return p.waiting > 0 && p.record.calls != p.seen }

// merge adds to the record what this worker has noted without it.
func (p *Pool) merge(now int64) {
	h := p.record.holder
	p.op.merged = true
	if p.arrived > 0 {
		h.noteBurst(p.arrivedAt)
		h.demand.add(p.arrived, now)
	}
	if p.record.calls == p.seen { // else a call has ended, after which the record does not count them any more
		h.CancelWaiting(p.left)
	}
	if n := p.successes + p.failures; n > 0 && h.limit.Adaptive() {
		if h.successes+h.failures == 0 {
			h.firstOutcome = p.firstOutcome
		}
		h.successes += p.successes
		h.failures += p.failures
	}
}

// apply changes the record as a Holder changes.
func (p *Pool) apply(now int64) {
	h, op := p.record.holder, &p.op
	switch op.kind {
	case opTake:
		if op.verdict = h.take(now); op.verdict.Decision == Waiting {
			p.sleep()
		}
	case opTick:
		pending := h.pending.number
		op.d.CallDue = h.Tick(now).CallDue
		if pending != 0 && h.pending.number == 0 {
			p.end(failed)
		}
	case opNextCall:
		due := h.dueSince != 0 && h.pending.number == 0
		request, _, ok := h.NextCall(now)
		switch {
		case ok:
			op.called = true
			p.request = *request
			p.request.Settled = p.settled[:copy(p.settled[:], request.Settled)]
		case due: // Redis must not be called any more
			p.end(failed)
		}
	case opReply:
		if ended := h.received(op.number, op.reply, now); ended != 0 {
			p.end(ended)
		} else {
			op.d.Late = true
		}
	case opFail:
		if op.d.Late = h.Fail(op.number, op.scope, now).Late; !op.d.Late {
			p.end(failed)
		}
	case opReset:
	}
}

// end notes how a call ended. All workers with waiting requests are to decide on them.
func (p *Pool) end(e ending) {
	r := &p.record
	r.calls++
	r.ended = e
	r.holder.waiters = 0
	for _, queue := range r.asleep {
		if queue != p.queue {
			p.op.wakes = append(p.op.wakes, queue)
		}
	}
	r.asleep = r.asleep[:0]
}

// sleep names this worker as one with waiting requests.
func (p *Pool) sleep() {
	r := &p.record
	if p.queue != 0 && len(r.asleep) < maxAsleep && !slices.Contains(r.asleep, p.queue) {
		r.asleep = append(r.asleep, p.queue)
	}
}

// decide decides on this worker's waiting requests if a call has ended since.
func (p *Pool) decide(now int64) {
	if !p.undecided() {
		return
	}
	r, h, d := &p.record, p.record.holder, &p.op.d
	others := h.waiters
	h.waiters = p.waiting
	if r.ended != 0 {
		late, due := d.Late, d.CallDue
		*d = h.decideWaiters(r.ended, now)
		d.Late, d.CallDue = late, d.CallDue || due
	} else if !h.callPending() { // it is a new record
		h.setDue(now)
		d.CallDue = true
	}
	if h.waiters > 0 {
		p.sleep()
	}
	h.waiters += others
}

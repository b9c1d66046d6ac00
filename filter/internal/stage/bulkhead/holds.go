package bulkhead

import (
	"errors"

	"github.com/weir-mesh/weir/policy/bulkhead"
	"github.com/weir-mesh/weir/sharedstate"
)

// Holds counts the places that one worker holds, by cluster. A request may outlive the plugin that admitted it, by a
// reload, so the worker counts and not the plugin.
//
// The worker shows each count where all workers read it at once, as a Number:
//
//	u32 worker │ u32 requests in flight
//
// So a request changes no record. The record says which workers there are: one is added before its first request, its
// heartbeat says once a second that it is alive, and removes it where nothing is in flight.
//
// Never too many are admitted, since each worker is in the record before it shows a request, and shows it before it reads
// the others':
//
//	new worker     in the record ─► its version ─► shows ─► loads the record, reads what others show
//	any other one                         shows ─► its version: as the record that it has? Else it loads it ─► reads
//
// Either the other one sees the new version, or its request was shown before the new worker reads.
type Holds struct {
	store    sharedstate.Store
	numbers  Numbers
	worker   uint32
	clusters map[string]*hold // with requests in flight, or whose record still counts some
}

// Number is a word that all workers can read and one of them sets.
type Number interface {
	Set(value uint64)
	// Value is what was set last. ok is false where it can't be read.
	Value() (value uint64, ok bool)
}

// Numbers finds or makes the number of a cluster and a slot. It is nil where there is none.
type Numbers func(cluster string, slot uint32) Number

// slots is how many numbers a cluster has at most, whatever the number of workers that came and went: their ids grow.
// Two that are alive and have the same slot, 256 ids apart, overwrite each other's; then the record counts.
const slots = 256

// hold is a worker's share of one cluster's bulkhead. It implements bulkhead.Shown.
type hold struct {
	inFlight uint32
	listed   bool  // in Holds.clusters
	heard    int64 // when the record last got this worker's heartbeat; 0: it is not there
	record   sharedstate.Record
	cell     *sharedstate.Cell
	now      int64 // of join

	cluster string
	numbers Numbers
	worker  uint32
	own     Number // nil: the record counts
	others  []other
}

// other is the number of another worker.
type other struct {
	worker uint32
	number Number
}

// NewHolds is the count of the worker with this id, none yet. Numbers may be nil: then the records count.
func NewHolds(store sharedstate.Store, numbers Numbers, worker uint32) *Holds {
	return &Holds{store: store, numbers: numbers, worker: worker, clusters: map[string]*hold{}}
}

// hold is the worker's share of a cluster, listed from now on. Last is where it was the last time, to be passed in: TinyGo
// allocates to look a string up in a map. It may be nil, or no longer listed.
func (h *Holds) hold(cluster string, last *hold) *hold {
	if last != nil && last.listed {
		return last
	}
	if held := h.clusters[cluster]; held != nil {
		return held
	}
	if last == nil {
		last = &hold{cluster: cluster, numbers: h.numbers, worker: h.worker}
		last.cell = sharedstate.NewCell(h.store, sharedstate.ClusterKey(cluster), &last.record)
		last.own = last.number(h.worker)
	}
	last.listed = true
	h.clusters[cluster] = last
	return last
}

func (h *hold) number(worker uint32) Number {
	if h.numbers == nil {
		return nil
	}
	return h.numbers(h.cluster, worker%slots)
}

// join adds the worker to the record unless the record has heard of it lately. Where that fails, the request does it.
func (h *hold) join(lately, now int64) {
	if h.heard > 0 && now-h.heard <= lately {
		return
	}
	h.now = now
	if _, err := h.cell.Apply(h); err == nil {
		h.heard = now
	}
}

// Apply implements sharedstate.Change, for join.
func (h *hold) Apply() sharedstate.Effect {
	if h.record.Bulkhead.Heartbeat(h.worker, h.inFlight+1, h.now) {
		return sharedstate.Changed
	}
	return sharedstate.Dropped
}

// add counts one request more, and shows it.
func (h *hold) add() {
	h.inFlight++
	h.show()
}

// remove counts one request less.
func (h *hold) remove() {
	if h != nil && h.inFlight > 0 {
		h.inFlight--
		h.show()
	}
}

func (h *hold) show() {
	if h.own != nil {
		h.own.Set(uint64(h.worker)<<32 | uint64(h.inFlight))
	}
}

// Of implements bulkhead.Shown.
func (h *hold) Of(worker uint32) (running uint32, ok bool) {
	if worker == h.worker {
		return h.inFlight, true
	}
	for i := range h.others {
		if o := &h.others[i]; o.worker == worker {
			return shownBy(o.number, worker)
		}
	}
	if len(h.others) >= slots { // most of them are gone
		h.others = h.others[:0]
	}
	number := h.number(worker)
	h.others = append(h.others, other{worker, number})
	return shownBy(number, worker)
}

func shownBy(number Number, worker uint32) (running uint32, ok bool) {
	if number == nil {
		return 0, false
	}
	value, ok := number.Value()
	return uint32(value), ok && uint32(value>>32) == worker
}

// Shown is what the workers show of a cluster.
func (h *Holds) Shown(cluster string) bulkhead.Shown {
	if held := h.clusters[cluster]; held != nil {
		return held
	}
	return &hold{cluster: cluster, numbers: h.numbers, worker: h.worker}
}

// Remove counts one request less. It does not change the record: the next heartbeat does.
func (h *Holds) Remove(cluster string) {
	h.clusters[cluster].remove()
}

// Heartbeat writes what this worker truly holds into each bulkhead's record: a share that was dropped while the worker
// stalled comes back, and one that a lost release left behind goes.
func (h *Holds) Heartbeat(now int64) (err error) {
	for cluster, held := range h.clusters {
		_, failed := held.cell.Update(func() bool { return held.record.Bulkhead.Heartbeat(h.worker, held.inFlight, now) })
		if failed != nil {
			err = errors.Join(err, failed) // the other clusters get their heartbeat
			continue
		}
		held.heard = now
		if held.inFlight == 0 {
			held.listed, held.heard = false, 0
			delete(h.clusters, cluster)
		}
	}
	return err
}

package bulkhead

import (
	"errors"

	"github.com/weir-mesh/weir/sharedstate"
)

// Holds counts the places that one worker holds, by cluster. A request may outlive the plugin that admitted it, by a
// reload, so the worker counts and not the plugin.
type Holds struct {
	store    sharedstate.Store
	worker   uint32
	clusters map[string]*hold // with requests in flight, or whose record still counts some
}

// hold is a worker's share of one cluster's bulkhead.
type hold struct {
	inFlight uint32
	listed   bool // in Holds.clusters
	record   sharedstate.Record
	cell     *sharedstate.Cell
}

// NewHolds is the count of the worker with this id, none yet.
func NewHolds(store sharedstate.Store, worker uint32) *Holds {
	return &Holds{store: store, worker: worker, clusters: map[string]*hold{}}
}

// add counts one more request to a cluster, and returns where, to be passed in the next time: TinyGo allocates to look a string
// up in a map. Last may be nil, or no longer listed.
func (h *Holds) add(cluster string, last *hold) *hold {
	if last == nil || !last.listed {
		last = h.list(cluster, last)
	}
	last.inFlight++
	return last
}

// list is the hold of a cluster, which begins to count, where none does, by the one that was there before.
func (h *Holds) list(cluster string, before *hold) *hold {
	if held := h.clusters[cluster]; held != nil {
		return held
	}
	if before == nil {
		before = &hold{}
		before.cell = sharedstate.NewCell(h.store, sharedstate.ClusterKey(cluster), &before.record)
	}
	before.listed = true
	h.clusters[cluster] = before
	return before
}

func (h *hold) remove() {
	if h != nil && h.inFlight > 0 {
		h.inFlight--
	}
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
		if held.inFlight == 0 {
			held.listed = false
			delete(h.clusters, cluster)
		}
	}
	return err
}

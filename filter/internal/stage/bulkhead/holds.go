package bulkhead

import (
	"errors"

	"github.com/weir-mesh/weir/sharedstate"
)

// Holds is what one worker holds of all bulkheads. Plugins come and go with reloads while a request that began under one
// still runs, so the worker counts them.
type Holds struct {
	store    sharedstate.Store
	worker   uint32
	clusters map[string]*hold // only those with requests in flight, or whose record still has to be told that there are none
}

// hold is a worker's share of one cluster's bulkhead.
type hold struct {
	inFlight uint32
	record   sharedstate.Record
	cell     *sharedstate.Cell
}

// NewHolds is what the worker with this id holds: nothing yet.
func NewHolds(store sharedstate.Store, worker uint32) *Holds {
	return &Holds{store: store, worker: worker, clusters: map[string]*hold{}}
}

func (h *Holds) add(cluster string) {
	held := h.clusters[cluster]
	if held == nil {
		held = &hold{}
		held.cell = sharedstate.NewCell(h.store, sharedstate.ClusterKey(cluster), &held.record)
		h.clusters[cluster] = held
	}
	held.inFlight++
}

// Remove counts one request less, whose place in the record is not given back here: the next heartbeat does that.
func (h *Holds) Remove(cluster string) {
	if held := h.clusters[cluster]; held != nil && held.inFlight > 0 {
		held.inFlight--
	}
}

// Heartbeat writes what this worker truly holds into each bulkhead's record: a share that was dropped while the worker
// stalled comes back, and one that a lost release left behind goes.
func (h *Holds) Heartbeat(now int64) (err error) {
	for cluster, held := range h.clusters {
		_, failed := held.cell.Update(func() bool { return held.record.Bulkhead.Heartbeat(h.worker, held.inFlight, now) })
		if failed != nil {
			err = errors.Join(err, failed) // the other clusters have theirs all the same
			continue
		}
		if held.inFlight == 0 {
			delete(h.clusters, cluster)
		}
	}
	return err
}

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
	record   sharedstate.Record
	cell     *sharedstate.Cell
}

// NewHolds is the count of the worker with this id, none yet.
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

// Remove counts one request less. It does not change the record: the next heartbeat does.
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
			err = errors.Join(err, failed) // the other clusters get their heartbeat
			continue
		}
		if held.inFlight == 0 {
			delete(h.clusters, cluster)
		}
	}
	return err
}

package flow

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/weir-mesh/weir/sharedstate"
)

// holdExpiry is how long a worker's share of a bulkhead counts without a sign of life from it; BeatEvery is how often
// a worker gives one. Four may be missed.
const (
	holdExpiry = 5 * time.Second
	BeatEvery  = time.Second
)

// Worker is what the plans of one worker's VM have in common. Plugins come and go with reloads, while a request that
// began under one still runs: what is in flight is counted here.
type Worker struct {
	store  sharedstate.Store
	id     uint32
	seed   [2]uint64
	holds  map[string]*hold // by cluster; only those that hold something
	copies copies
	random *rand.PCG // of delays; nothing secret hangs on it

	meshes  uint32           // that this worker made so far
	proxies map[string]int64 // by cluster, as Redis told them
}

// hold is a worker's share of one cluster's bulkhead.
type hold struct {
	count  uint32
	record sharedstate.Record
	cell   *sharedstate.Cell
}

// NewWorker signs a worker on: its id is nobody else's in this process. Random is 16 bytes that nobody outside can
// guess, of which the process's first are kept for all.
func NewWorker(store sharedstate.Store, random [16]byte) (*Worker, error) {
	id, err := sharedstate.NextWorker(store)
	if err != nil {
		return nil, err
	}
	k0, k1, err := sharedstate.Seed(store, random)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	return &Worker{
		store: store, id: id, seed: [2]uint64{k0, k1}, holds: map[string]*hold{}, proxies: map[string]int64{},
		random: rand.NewPCG(le.Uint64(random[:8])^uint64(id), le.Uint64(random[8:])),
	}, nil
}

// took counts one more request of this worker in flight.
func (w *Worker) took(cluster string) {
	h := w.holds[cluster]
	if h == nil {
		h = &hold{}
		h.cell = sharedstate.NewCell(w.store, sharedstate.ClusterKey(cluster), &h.record)
		w.holds[cluster] = h
	}
	h.count++
}

// gave counts one less.
func (w *Worker) gave(cluster string) {
	if h := w.holds[cluster]; h != nil && h.count > 0 {
		h.count--
	}
}

// Beat says that this worker lives, and what it truly holds of each bulkhead: a share that was dropped while it stalled
// comes back, and one that a lost release left behind goes. Call it every BeatEvery.
func (w *Worker) Beat(now int64) (err error) {
	w.copies.expire(now)
	for cluster, h := range w.holds {
		_, failed := h.cell.Update(func() bool { return h.record.Bulkhead.Heartbeat(w.id, h.count, now) })
		if failed != nil {
			err = errors.Join(err, failed) // the other clusters have theirs all the same
			continue
		}
		if h.count == 0 {
			delete(w.holds, cluster)
		}
	}
	return err
}

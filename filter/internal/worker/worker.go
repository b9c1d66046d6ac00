// Package worker is the state that all plugins of one worker's VM share. A request may outlive the plugin that admitted
// it, by a reload, so what is in flight belongs to the worker.
package worker

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"

	"github.com/weir-mesh/weir/filter/internal/fallbackcache"
	"github.com/weir-mesh/weir/filter/internal/stage/bulkhead"
	"github.com/weir-mesh/weir/filter/internal/stage/limit"
	"github.com/weir-mesh/weir/sharedstate"
)

// Worker is one worker's VM.
type Worker struct {
	Store    sharedstate.Store
	ID       uint32    // no other worker of this process has or had it
	Seed     [2]uint64 // for fingerprints; the same in all workers of the process
	Holds    *bulkhead.Holds
	Leases   *limit.Leases
	Captures *fallbackcache.Captures

	random *rand.PCG
	meshes uint32
}

// New registers a worker in the store. Random is 16 secret random bytes; those of the process's first worker become the
// seed of all workers. Numbers may be nil, see bulkhead.NewHolds.
func New(store sharedstate.Store, numbers bulkhead.Numbers, random [16]byte) (*Worker, error) {
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
		Store: store, ID: id, Seed: [2]uint64{k0, k1},
		Holds: bulkhead.NewHolds(store, numbers, id), Leases: limit.NewLeases(store, id), Captures: fallbackcache.NewCaptures(),
		random: rand.NewPCG(le.Uint64(random[:8])^uint64(id), le.Uint64(random[8:])),
	}, nil
}

// Random is a random number for delays; nothing secret depends on it.
func (w *Worker) Random() uint64 { return w.random.Uint64() }

// NextMesh counts the clients of Redis that this worker's plugins have made.
func (w *Worker) NextMesh() uint32 {
	w.meshes++
	return w.meshes
}

// Heartbeat shows that this worker is alive. Call it every sharedstate.HeartbeatEvery.
func (w *Worker) Heartbeat(now int64) error {
	w.Captures.Expire(now)
	return errors.Join(w.Holds.Heartbeat(now), w.Leases.Heartbeat(now))
}

package flow

import (
	"encoding/binary"

	"github.com/weir-mesh/weir/sharedstate"
)

// How many proxies share a limit is told by Redis with each answer, and needed when Redis is gone: so it is kept where a
// reload and a crash of the VM don't reach.

// live is the number of proxies that Redis saw last; 1 where it never told.
func (w *Worker) live(cluster string) int64 {
	n, known := w.proxies[cluster]
	if !known {
		n = 1
		if value, _, err := w.store.Get(sharedstate.LiveKey(cluster)); err == nil && len(value) == 8 {
			n = max(int64(binary.LittleEndian.Uint64(value)), 1)
		}
		w.proxies[cluster] = n
	}
	return n
}

// knowsLive takes the number that Redis told.
func (w *Worker) knowsLive(cluster string, n int64) {
	if w.live(cluster) == n {
		return
	}
	w.proxies[cluster] = n
	// The last one wins, and an error leaves the number before it: it is a share's divisor, no promise hangs on it.
	_ = w.store.Set(sharedstate.LiveKey(cluster), binary.LittleEndian.AppendUint64(nil, uint64(n)), 0)
}

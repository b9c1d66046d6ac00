package observe

import (
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// RefusedKeys are the refused keys that a VM's plugins have counted and not published yet: a refusal costs no call to the host.
// They belong to the VM, so that a plugin publishes those of one that a reload has ended.
type RefusedKeys struct{ pending []*clusterKeys }

// clusterKeys are those of one cluster.
type clusterKeys struct {
	cluster string
	counted registry.RefusedKeys
}

// RefusedKey implements request.Observer.
func (c *Cluster) RefusedKey(hash uint64, text string, now int64) {
	if c.keys == nil {
		c.keys = &clusterKeys{cluster: c.name}
	}
	k := &c.keys.counted
	if k.Since == 0 {
		k.Since = now
		c.plugin.Refused.pending = append(c.plugin.Refused.pending, c.keys)
	}
	k.Last = now
	k.Total++
	k.Keys.Add(hash, text)
}

// Publish publishes what was counted, of so many clusters that a heartbeat stays short: each costs some 30 us.
func (r *RefusedKeys) Publish(store sharedstate.Store) (err error) {
	const most = 64
	n := min(most, len(r.pending))
	for _, k := range r.pending[:n] {
		if failed := registry.NoteRefusedKeys(store, k.cluster, &k.counted); failed != nil {
			err = failed
		}
		k.counted.Since, k.counted.Total = 0, 0
		k.counted.Keys.Reset()
	}
	left := copy(r.pending, r.pending[n:])
	clear(r.pending[left:])
	r.pending = r.pending[:left]
	return err
}

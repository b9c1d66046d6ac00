package cache

import (
	"errors"

	"github.com/weir-mesh/weir/sharedstate"
)

// Stats is what a cluster's cache holds.
type Stats struct {
	Entries int
	Bytes   int64 // of the entries
	Room    int64 // that is reserved for them of MaxBytes, a multiple of 16 KiB
}

// ReadStats reads the ledger, and the indexes of a cluster's segments that have entries.
func ReadStats(store sharedstate.Store, cluster string) (stats Stats, err error) {
	var l ledger
	if _, err := sharedstate.NewCell(store, LedgerKey, &l).Load(); err != nil {
		return Stats{}, err
	}
	for i := range l.rows {
		r := &l.rows[i]
		if string(r.cluster) != cluster {
			continue
		}
		packed, _, err := store.Get(IndexKey(cluster, int(r.segment)))
		if err != nil && !errors.Is(err, sharedstate.ErrNotFound) {
			return Stats{}, err
		}
		var x index
		x.Unpack(packed)
		stats.Entries += len(x.ways)
		stats.Bytes += int64(x.bytes())
		stats.Room += int64(r.room)
	}
	return stats, nil
}

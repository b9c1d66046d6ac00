package cache

import (
	"errors"

	"github.com/weir-mesh/weir/sharedstate"
)

// Stats is what a cluster's cache holds.
type Stats struct {
	Entries int
	Bytes   int64 // of the entries
	Room    int64 // of MaxBytes that they have taken, in units of 16 KiB
}

// ReadStats reads the ledger and the indexes of a cluster's segments that hold something.
func ReadStats(store sharedstate.Store, cluster string) (stats Stats, err error) {
	var book ledger
	if _, err := sharedstate.NewCell(store, LedgerKey, &book).Load(); err != nil {
		return Stats{}, err
	}
	for i := range book.rows {
		r := &book.rows[i]
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

package cache

import (
	"encoding/binary"
	"errors"

	"github.com/weir-mesh/weir/sharedstate"
)

// Stats is what a cluster's cache holds.
type Stats struct {
	Entries int
	Bytes   int64 // of the entries
	Room    int64 // that is reserved for them of MaxBytes, a multiple of 16 KiB
}

// Fill is how full the caches of all clusters are.
type Fill struct {
	store  sharedstate.Store
	ledger ledger
}

// ReadFill reads the ledger, once for all clusters: it has up to MaxLedgerBytes.
func ReadFill(store sharedstate.Store) (*Fill, error) {
	f := &Fill{store: store}
	_, err := sharedstate.NewCell(store, LedgerKey, &f.ledger).Load()
	return f, err
}

// Of reads the indexes of a cluster's segments that have entries.
func (f *Fill) Of(cluster string) (stats Stats, err error) {
	for i := range f.ledger.rows {
		r := &f.ledger.rows[i]
		if string(r.cluster) != cluster {
			continue
		}
		packed, _, err := f.store.Get(IndexKey(cluster, int(r.segment)))
		if err != nil && !errors.Is(err, sharedstate.ErrNotFound) {
			return Stats{}, err
		}
		stats.Room += int64(r.room)
		if !indexShaped(packed) {
			continue
		}
		for at := indexFixed; at < len(packed); at += waySize {
			stats.Entries++
			stats.Bytes += int64(binary.LittleEndian.Uint32(packed[at+waySizeAt:]))
		}
	}
	return stats, nil
}

// ReadStats is what one cluster's cache holds.
func ReadStats(store sharedstate.Store, cluster string) (Stats, error) {
	f, err := ReadFill(store)
	if err != nil {
		return Stats{}, err
	}
	return f.Of(cluster)
}

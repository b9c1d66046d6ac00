package registry

import (
	"errors"

	"github.com/weir-mesh/weir/sharedstate"
)

// Listing is the clusters of all documents that are in use.
type Listing struct {
	Entries []Entry // each cluster once, in no particular order
	Redis   bool    // a document calls Redis
	LeftOut bool    // some clusters did not fit
}

// Find is a cluster's entry, nil where no document has it.
func (l *Listing) Find(cluster string) *Entry {
	for i := range l.Entries {
		if l.Entries[i].Cluster == cluster {
			return &l.Entries[i]
		}
	}
	return nil
}

// Read lists the clusters at time now. Where several documents have a cluster, it takes the entry of the document that
// came last.
func Read(store sharedstate.Store, now int64) (*Listing, error) {
	var documents documentTable
	if _, err := sharedstate.NewCell(store, documentsKey, &documents).Load(); err != nil {
		return nil, err
	}
	listing := &Listing{}
	seen := map[string]bool{}
	for slot := documents.newest(now); slot >= 0; slot = documents.newest(now) {
		row := documents.rows[slot]
		documents.rows[slot] = documentRow{}
		listing.Redis = listing.Redis || row.redis
		value, _, err := store.Get(clustersKey(slot))
		if errors.Is(err, sharedstate.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var l clusterList
		if !l.Unpack(value) || l.claim != row.claim {
			continue
		}
		listing.LeftOut = listing.LeftOut || l.leftOut
		l.all(func(e *Entry) bool {
			if !seen[e.Cluster] {
				seen[e.Cluster] = true
				listing.Entries = append(listing.Entries, *e)
			}
			return true
		})
	}
	return listing, nil
}

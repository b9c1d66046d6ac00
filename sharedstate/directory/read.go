package directory

import (
	"errors"

	"github.com/weir-mesh/weir/sharedstate"
)

// Listing is the clusters of all documents that are in use.
type Listing struct {
	Entries []Entry // each cluster once, in no order that matters
	Redis   bool    // a document calls Redis
	LeftOut bool    // some clusters found no room
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

// Read reads the directory at time now. Of a cluster that several documents have, the document's word counts that came
// last.
func Read(store sharedstate.Store, now int64) (*Listing, error) {
	var documents rows
	if _, err := sharedstate.NewCell(store, rowsKey, &documents).Load(); err != nil {
		return nil, err
	}
	listing := &Listing{}
	seen := map[string]bool{}
	for slot := documents.newest(now); slot >= 0; slot = documents.newest(now) {
		r := documents.rows[slot]
		documents.rows[slot] = row{}
		listing.Redis = listing.Redis || r.redis
		value, _, err := store.Get(listKey(slot))
		if errors.Is(err, sharedstate.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var l list
		if !l.Unpack(value) || l.claim != r.claim {
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

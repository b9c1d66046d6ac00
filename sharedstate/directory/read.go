package directory

import (
	"errors"
	"slices"
	"strings"

	"github.com/weir-mesh/weir/sharedstate"
)

// Listing is the clusters of all documents that are in use.
type Listing struct {
	Entries []Entry // by name, each cluster once
	Redis   bool    // a document calls Redis
	LeftOut bool    // some clusters found no room
}

// Find is a cluster's entry, nil where no document has it.
func (l *Listing) Find(cluster string) *Entry {
	i, found := slices.BinarySearchFunc(l.Entries, cluster, func(e Entry, name string) int { return strings.Compare(e.Cluster, name) })
	if !found {
		return nil
	}
	return &l.Entries[i]
}

// Read reads the directory at time now. Of a cluster that several documents have, the document's word counts that came
// last.
func Read(store sharedstate.Store, now int64) (*Listing, error) {
	var documents rows
	if _, err := sharedstate.NewCell(store, rowsKey, &documents).Load(); err != nil {
		return nil, err
	}
	order := make([]int, 0, MaxDocuments)
	for slot := range documents.rows {
		if documents.rows[slot].alive(now) {
			order = append(order, slot)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return int(documents.rows[b].claim) - int(documents.rows[a].claim) })
	listing := &Listing{}
	seen := map[string]bool{}
	for _, slot := range order {
		r := &documents.rows[slot]
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
	slices.SortFunc(listing.Entries, func(a, b Entry) int { return strings.Compare(a.Cluster, b.Cluster) })
	return listing, nil
}

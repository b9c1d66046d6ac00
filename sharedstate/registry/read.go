package registry

import "github.com/weir-mesh/weir/sharedstate"

// Listing is the clusters of all documents that are in use.
type Listing struct {
	Entries []Entry // each cluster once, in no particular order
	Redis   bool    // a document calls Redis
	LeftOut bool    // some clusters did not fit
}

// Read lists the clusters at time now. Where several documents have a cluster, it takes the entry of the document that
// came last.
func Read(store sharedstate.Store, now int64) (*Listing, error) {
	scan, err := NewScan(store, now)
	if err != nil {
		return nil, err
	}
	listing := &Listing{Redis: scan.Redis, LeftOut: scan.LeftOut}
	for scan.More() {
		var e Entry
		if e.Unpack(scan.Next()) {
			listing.Entries = append(listing.Entries, e)
		}
	}
	return listing, nil
}

// Package cache keeps responses of upstream clusters in a sharedstate.Store (Envoy's shared data), where all workers
// find them. It knows nothing of HTTP's caching rules: it stores, finds, evicts and invalidates, within hard bounds.
//
//	weir/2/cache/ledger               reserved bytes            aws_pricing 0  48 KiB
//	                                                            gcp_pricing 0  16 KiB      sum <= MaxBytes
//
//	weir/2/cache/index/0/aws_pricing  list of entries           key 7f3a… stored 12.1 s  slot 0  4,210 bytes
//	                                                            key 02c9… stored 15.7 s  slot 1  9,377 bytes
//
//	weir/2/cache/marks/aws_pricing    invalidated lately        path 9c41… at 16.2 s
//
//	weir/2/cache/slot/0/0/aws_pricing the entry                 head (Meta, headers), body
//	weir/2/cache/slot/0/1/aws_pricing
//
// A cluster has one segment (an index and its slots) for up to 256 entries, and one more for each further 256. A key
// belongs to one segment, by its fingerprint. Within a segment the least recently stored entry is evicted for a new
// one.
//
// # Never a wrong response
//
// An entry is first added to the index, by compare-and-swap, and then written to its slot. A reader reads the index and
// then the slot, and uses the slot only if version, lengths, the head's check, key, path and time all are what the
// index says. So whatever happens between two calls of the store, the worst result is a miss.
//
// The slot is written by compare-and-swap too, with its cas from before the index was changed. A worker that writes
// late, after its entry was evicted or invalidated, finds that its slot was emptied or reused, and does not write: what
// was removed from an index is not restored, and no memory stays in use that no index lists.
//
// An invalidation of the whole cluster stores its time in all indexes that the cluster may have, one of a path or a key in
// the cluster's marks. The response to a request that began at that time or before, for the path or key, is refused,
// except one that confirms an entry that is still listed (Replace).
//
// # Bounds
//
// All entries of all clusters, heads included, take at most MaxBytes (64 MiB), the sum of the ledger's rows. A segment
// reserves room in units of 16 KiB, and never takes more than its row says. Where the sum would be more, the segment
// with the most room drops its least recently stored entries: no cluster can starve the others, and a segment that is
// not used any more keeps no more than any other. An entry takes at most 1 MiB + 64 KiB.
//
// In addition, each cluster has at most 8,208 bytes of marks, and each segment that ever had an entry has its index (at
// most 10,256 bytes; after an invalidation each cluster has 16 of them, empty ones of 16 bytes) and its slots' keys: an
// emptied slot keeps its key, some 150 bytes with Envoy's own, and a cluster has at most max_entries of them, or as many
// as an earlier policy said. The ledger takes at most 64 KiB, for at most 1,024 segments at a time: one more replaces
// the one that grew the longest ago, which is emptied.
//
// # When a worker stops between two writes
//
// The order of writes is such that the ledger never says too little (see room.go). It may say too much, where a
// worker's VM crashed between two writes, or where another worker stored the same response first: by one entry's room
// for a growth, or by the room that was given up. That is corrected when the segment grows or gives up room for the
// next time.
//
// After a crash a slot may keep a value that no index lists, or one that is longer than the index says: the entry that
// was being replaced, and those that were being dropped by that one call. That ends when the slot is written the next
// time, so it is bounded by the number of slots; it is not counted in MaxBytes. An entry that was added to an index but
// never written is missed until it is stored again, which is due after a second.
package cache

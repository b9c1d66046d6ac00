// Package cache keeps answers of upstream clusters in a sharedstate.Store (Envoy's shared data), where all workers find
// them. It knows nothing of HTTP's rules: it stores, finds, evicts and invalidates, within hard bounds.
//
//	weir/1/cache/ledger               who holds how much        aws_pricing 0  48 KiB
//	                                                            gcp_pricing 0  16 KiB      sum <= MaxBytes
//
//	weir/1/cache/index/0/aws_pricing  which entries there are   key 7f3a… stored 12.1 s  slot 0  4,210 bytes
//	                                                            key 02c9… stored 15.7 s  slot 1  9,377 bytes
//
//	weir/1/cache/slot/0/0/aws_pricing the entry                 head (Meta, headers), body
//	weir/1/cache/slot/0/1/aws_pricing
//
// A cluster has one segment (an index and its slots) for up to 256 entries, else one for each 256 of them, and a key
// belongs to the segment that its fingerprint says. Within a segment the least recently stored entry makes room for a new
// one.
//
// # Never a wrong answer
//
// An entry is claimed in the index, by compare-and-swap, and written to its slot then. A reader goes the same way, and
// believes a slot only if version, lengths, the head's check, key, path and time all are what the index says. So whatever
// happens between two calls of the store, at the worst an entry is missed.
//
// The slot is written by compare-and-swap too, with its number from before the claim. A worker that writes late, after
// its entry was evicted or invalidated, finds that its slot was emptied or taken, and leaves it alone: what is gone from an
// index doesn't come back, and no memory stays behind that nobody knows of.
//
// An invalidation leaves the moment at which it was made in all the indexes that the cluster may have. The answer to a
// request that began then or before is refused.
//
// # Bounds
//
// All entries of all clusters, heads included, take at most MaxBytes (64 MiB): the sum of the ledger's rows. A segment
// takes room in units of 16 KiB, and has at most what its row says. Where the sum would be more, the segment with the most
// gives up its least recently stored entries: nobody starves the others, and one that is idle, or gone, keeps no more than any
// other has. An entry takes at most 1 MiB + 64 KiB.
//
// Besides, for each segment that ever held something, its index (at most 10,256 bytes; after an invalidation each cluster
// has 16, empty ones of 16 bytes) and its slots' keys: an emptied slot keeps its key, some 150 bytes with Envoy's own, and a
// cluster has at most max_entries of them, or what an earlier policy said. The ledger takes at most 64 KiB, for at most
// 1,024 segments at one time: one more takes the place of that which grew the longest ago, and is empty then.
//
// # When a worker stops in between
//
// The order of writes is such that the ledger never says too little (see room.go). It may say too much, where a worker's VM
// crashed between two writes, or where another worker stored the same answer first: for a growth by one entry's room, for
// what was given up by that. It comes to light when the segment grows next, or when it is asked to give.
//
// After a crash a slot may keep a value that no index tells of, or one that is longer than the index says: the entry that was
// being replaced and those that were being dropped by that one call. That is over when the slot is written next, so it is
// bounded by the slots that there are; it is no part of MaxBytes. An entry that was claimed and never written is missed until
// it is stored again, which is due after a second.
package cache

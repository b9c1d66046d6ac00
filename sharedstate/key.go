package sharedstate

import "strconv"

// prefix starts every key: Istio sets no vm_id, so strangers may share this store. The number is the layout's: a
// filter that packs its records in another way keeps its hands off these.
const prefix = "weir/1/"

// ClusterKey is where a cluster's record is kept.
func ClusterKey(cluster string) string { return prefix + "cluster/" + cluster }

// SeedKey is where the process's seed for fingerprints is kept, 16 random bytes.
const SeedKey = prefix + "seed"

// LimitKey appends where a set of keyed limits is kept to b; OverflowSet names the record that overflowing keys share.
func LimitKey(b []byte, cluster string, set uint32) []byte {
	b = append(append(append(b, prefix+"limit/"...), cluster...), '/')
	if set == OverflowSet {
		return append(b, "overflow"...)
	}
	return strconv.AppendUint(b, uint64(set), 10)
}

// OverflowSet is the set of the keys that found no place in theirs.
const OverflowSet uint32 = 1<<32 - 1

package sharedstate

import "strconv"

// prefix starts every key: Istio sets no vm_id, so strangers may share this store. The number is the layout's: a
// filter that packs its records in another way keeps its hands off these.
const prefix = "weir/1/"

// ClusterKey is where a cluster's record is kept.
func ClusterKey(cluster string) string { return prefix + "cluster/" + cluster }

// LiveKey is where the number of proxies is kept that share a cluster's limit, u64.
func LiveKey(cluster string) string { return prefix + "live/" + cluster }

// SeedKey is where the process's seed for fingerprints is kept, 16 random bytes.
const SeedKey = prefix + "seed"

// LimitKey is where a set of a cluster's keyed limits is kept.
func LimitKey(cluster string, set uint32) string {
	if set == OverflowSet {
		return prefix + "limit/" + cluster + "/overflow"
	}
	return prefix + "limit/" + cluster + "/" + strconv.FormatUint(uint64(set), 10)
}

// OverflowSet is the set of the keys that found no place in theirs.
const OverflowSet uint32 = 1<<32 - 1

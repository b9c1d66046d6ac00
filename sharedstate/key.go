package sharedstate

import "strconv"

// prefix starts every key: Istio sets no vm_id, so other filters may share this store. The number is the version of the
// layout: a filter that packs its records in another way uses another one.
const prefix = "weir/1/"

// ClusterKey is the key of a cluster's record.
func ClusterKey(cluster string) string { return prefix + "cluster/" + cluster }

// LiveKey is the key of the number of live proxies that share a cluster's limit, u64.
func LiveKey(cluster string) string { return prefix + "live/" + cluster }

// SeedKey is the key of the process's seed for fingerprints, 16 random bytes.
const SeedKey = prefix + "seed"

// LimitKey is the key of one set of a cluster's KeyTable, or of its OverflowSet.
func LimitKey(cluster string, set uint32) string {
	if set == OverflowSet {
		return prefix + "limit/" + cluster + "/overflow"
	}
	return prefix + "limit/" + cluster + "/" + strconv.FormatUint(uint64(set), 10)
}

// OverflowSet is the set of the state that overflowing keys share.
const OverflowSet uint32 = 1<<32 - 1

package sharedstate

import "strconv"

// Prefix starts every key: Istio sets no vm_id, so other filters may share this store. The number is the version of the
// layout. Raise it when the packed form of a value changes: while a module is replaced in a running Envoy, the old one
// and the new one work side by side and would overwrite each other's values under the same keys.
//
//	weir/1/  the modules up to 0.1.0, records of version 3
//	weir/2/  records of version 4, limits and cache entries of version 2
const Prefix = "weir/2/"

// ClusterKey is the key of a cluster's record.
func ClusterKey(cluster string) string { return ClusterPrefix + cluster }

// ClusterPrefix starts the keys of clusters' records.
const ClusterPrefix = Prefix + "cluster/"

// LiveKey is the key of the number of live proxies that share a cluster's limit, u64.
func LiveKey(cluster string) string { return Prefix + "live/" + cluster }

// PoolKey is the key of the leases that a proxy's workers have together of a shard of a cluster's limit.
func PoolKey(cluster string, shard int) string {
	return Prefix + "pool/" + strconv.Itoa(shard) + "/" + cluster
}

// SeedKey is the key of the process's seed for fingerprints, 16 random bytes.
const SeedKey = Prefix + "seed"

// LimitKey is the key of one set of a cluster's KeyTable, or of its OverflowSet.
func LimitKey(cluster string, set uint32) string {
	if set == OverflowSet {
		return Prefix + "limit/" + cluster + "/overflow"
	}
	return Prefix + "limit/" + cluster + "/" + strconv.FormatUint(uint64(set), 10)
}

// OverflowSet is the set of the state that overflowing keys share.
const OverflowSet uint32 = 1<<32 - 1

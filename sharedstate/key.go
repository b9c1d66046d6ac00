package sharedstate

// prefix starts every key: Istio sets no vm_id, so strangers may share this store. The number is the layout's: a
// filter that packs its records in another way keeps its hands off these.
const prefix = "weir/1/"

// ClusterKey is where a cluster's record is kept.
func ClusterKey(cluster string) string { return prefix + "cluster/" + cluster }

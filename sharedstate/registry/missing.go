package registry

import "github.com/weir-mesh/weir/sharedstate"

// Missing is the last request whose metadata has the name of a policy that the document does not have, over all workers.
type Missing struct {
	At      int64 // nanoseconds of a monotonic clock; 0: never
	Cluster string
	Policy  string // the name
}

const missingKey = documentsKey + "/missing"

// PublishMissing stores such a request. Names are cut to 1,024 bytes.
func PublishMissing(store sharedstate.Store, cluster, policy string, now int64) error {
	return publishNotice(store, missingKey, cluster, policy, now)
}

// ReadMissing reads the last one, the zero Missing where there was none in the last hour.
func ReadMissing(store sharedstate.Store, now int64) (Missing, error) {
	n, err := readNotice(store, missingKey, now)
	return Missing{At: n.at, Cluster: n.first, Policy: n.last}, err
}

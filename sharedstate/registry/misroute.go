package registry

import "github.com/weir-mesh/weir/sharedstate"

// Misroute is the last request that went to another cluster than the one whose policy decided, over all workers.
type Misroute struct {
	At      int64  // nanoseconds of a monotonic clock; 0: never
	Decided string // the cluster, or NoCluster
	Went    string // the cluster
}

// NoCluster stands for the cluster of a request that had none when Weir saw it.
const NoCluster = "none"

const misrouteKey = documentsKey + "/misroute"

// PublishMisroute stores a misroute. Names are cut to 1,024 bytes.
func PublishMisroute(store sharedstate.Store, decided, went string, now int64) error {
	return publishNotice(store, misrouteKey, decided, went, now)
}

// ReadMisroute reads the last misroute, the zero Misroute where there was none in the last hour.
func ReadMisroute(store sharedstate.Store, now int64) (Misroute, error) {
	n, err := readNotice(store, misrouteKey, now)
	return Misroute{At: n.at, Decided: n.first, Went: n.last}, err
}

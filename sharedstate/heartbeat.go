package sharedstate

import "time"

// HeartbeatEvery is how often a worker shows that it is alive. WorkerExpiry is how long what a worker holds counts
// without a heartbeat: four may be missed.
const (
	HeartbeatEvery = time.Second
	WorkerExpiry   = 5 * time.Second
)

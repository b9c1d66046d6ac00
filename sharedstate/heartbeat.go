package sharedstate

import "time"

// HeartbeatEvery is the time between two heartbeats of a worker. What a worker holds counts until WorkerExpiry after its
// last heartbeat: it may miss four.
const (
	HeartbeatEvery = time.Second
	WorkerExpiry   = 5 * time.Second
)

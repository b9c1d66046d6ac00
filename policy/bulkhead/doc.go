// Package bulkhead limits how many requests run at a time, over all workers of a proxy, as a pure function of a small
// list. Time is an argument, in nanoseconds of a monotonic clock, and the caller stores the state, so that the workers
// share it by compare-and-swap.
//
//	 worker 7        worker 8        worker 9 (crashed)
//	┌───────────┐   ┌───────────┐   ┌───────────┐
//	│ 3 running │   │ 4 running │   │ 2         │          Running = 3 + 4
//	│ 1 s ago   │   │ 0 s ago   │   │ 6 s ago   │          a new request is admitted while that is below Max
//	└───────────┘   └───────────┘   └───────────┘
//	  alive           alive           dead: its share is free, the next request removes it
//
// A worker (one VM instance) is an owner: it has an id of its own and also counts its running requests itself. Each of
// its changes shows that it is alive, and it sends a Heartbeat at least every second.
//
// Where an owner can show its number outside of the state, at once to all (Shown), a request changes no state: Enter counts
// what the owners show, and the state says which of them are alive. Its numbers are then those of their last heartbeats.
// Else Acquire and Release count in the state.
//
//   - A worker that crashes sends no more heartbeats. After Expiry its share no longer counts. The VM that replaces it is
//     another owner, with another id.
//   - A worker that stalled for longer than Expiry may have been dropped, and its share given to others. Its next Heartbeat
//     restores its real count, and nothing is admitted until the sum is below Max again. So the promise "never more than
//     Max" holds for workers that are never silent for longer than Expiry.
//   - A lost Release (the store was contended for too long) is corrected by the next Heartbeat.
//   - A policy with a smaller Max ends no request: none is admitted until enough have ended.
//   - Only an owner with running requests is in the list. With MaxOwners of them alive, another one gets TooManyOwners: the
//     caller treats that as an error, not as a refusal, because it does not depend on how many requests run.
package bulkhead

// Package bulkhead bounds how many requests run at a time, over all workers of a proxy, as a pure function of a small
// list. Time is an argument, in nanoseconds of a monotonic clock, and the caller stores the state, so that the workers
// share it by compare-and-swap.
//
//	 worker 7        worker 8        worker 9 (crashed)
//	┌───────────┐   ┌───────────┐   ┌───────────┐
//	│ 3 running │   │ 4 running │   │ 2         │          Running = 3 + 4
//	│ beat 1 s  │   │ beat 0 s  │   │ beat 6 s  │          a new one passes while that is below Max
//	└───────────┘   └───────────┘   └───────────┘
//	  alive           alive           dead: its share is free, its place goes with the next Acquire
//
// A worker (one VM instance) is an owner: it has an id that no other has, and counts what it holds also for itself.
// Each of its changes is a sign of life, and it gives one at least every second by Beat.
//
//   - A worker that crashes gives no more of them. After Expiry its share counts no longer. The VM that follows it is
//     another owner, with another id.
//   - A worker that stalled for longer than Expiry may find that its share was dropped, and given to others meanwhile.
//     Its next Beat says what it truly holds, and nothing is admitted until the sum is below Max again. So the promise
//     "never more than Max" is one for workers that give signs of life within Expiry.
//   - A release that was lost (a store that was contended beyond the caller's patience) is made good by the next Beat.
//   - A policy with a smaller Max ends no request: none is admitted until enough have ended.
//   - Only an owner that holds something has a place in the list. With MaxOwners alive in it, another one is told
//     NoRoom: the caller takes that as a fault, not as a refusal, for it says nothing of how many requests run.
package bulkhead

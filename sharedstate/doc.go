// Package sharedstate is the state that a proxy's workers share: packed records in Envoy's shared data, changed by a
// bounded compare-and-swap loop.
//
//	worker 1 ─┐                       ┌──────────────────────────────┐
//	          ├─ Get → change → Swap ─► weir/2/cluster/aws_pricing   │  one record for each cluster
//	worker 2 ─┘        ▲       │      └──────────────────────────────┘
//	                   └───────┘ mismatch: another worker was first, start over (at most MaxSwaps times)
//
// Shared data lives as long as Envoy's process: it survives a policy reload and the crash of a worker's VM. It has no
// expiry and nothing is ever removed from it, so its keys are bounded by what Envoy's configuration names.
package sharedstate

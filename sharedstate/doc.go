// Package sharedstate is what a proxy's workers agree on: packed records in Envoy's shared data, changed by a bounded
// compare-and-swap loop.
//
//	worker 1 ─┐                       ┌──────────────────────────────┐
//	          ├─ Get → change → Swap ─► weir/1/cluster/aws_pricing   │  one record a cluster
//	worker 2 ─┘        ▲       │      └──────────────────────────────┘
//	                   └───────┘ mismatch: somebody was first, look again (at most Attempts times)
//
// Shared data lives as long as Envoy's process: a policy reload and the crash of a worker's VM leave it as it is. It
// has no expiry and nothing is ever removed from it, so keys are bounded by what Envoy's configuration names.
package sharedstate

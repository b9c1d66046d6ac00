// Package admin is the admin API, as a function from a request to a response.
//
//	GET  /                                  the live page
//	GET  /status, /status/CLUSTER           JSON, see filter/adminapi
//	POST /reset/CLUSTER                     closes the breaker, makes the limits unused, starts the counts at zero
//	POST /breaker/CLUSTER/open|close|auto   forces the breaker, and ends that
//	POST /cache/invalidate?cluster=C[&path=P]
//
// It runs in a plugin without traffic, `{"admin": {}}`, and can become a Wasm module of its own. All it needs is:
//
//   - the sharedstate.Store of the plugins that see traffic, which Envoy shares between VMs with the same vm_id: it has
//     the clusters' records, and what package registry publishes,
//   - the process's seed, see sharedstate.Seed,
//   - Metrics: Envoy's metrics by name, which count over all workers,
//   - an AuditLog.
//
// A request's body is not read: the path says what to do. A body that is too long is refused by its Content-Length.
package admin

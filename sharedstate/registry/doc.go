// Package registry is what is published for operators. The admin API runs in a plugin on a listener without traffic,
// so the plugins that see traffic write into a sharedstate.Store which clusters they have and what is needed to read
// the clusters' records. This package is both sides: the Publisher of a plugin, and Read, View and the actions
// (ForceBreaker, ResetCluster, InvalidateCache) of the admin API.
//
//	weir/2/registry        the policy documents     0  document 7f3a…  claim 4  last heartbeat 12.1 s
//	                                                1  document 02c9…  claim 5  last heartbeat 17.9 s
//
//	weir/2/registry/0      a document's clusters    claim 4  aws_pricing    enforce, 100 in 60 s, …
//	                                                         gcp_pricing    shadow, …
//	weir/2/registry/1
//
// All workers with the same document share one row. Each gives a heartbeat once a second, and one of these is stored.
// When a policy is replaced, no worker has its document any more and the row gets no heartbeats. After
// sharedstate.WorkerExpiry Read leaves its clusters out, and the first worker that notices deletes them. A row has a
// claim, a number that no row before it had. Where two documents have the same cluster, the document with the higher
// claim counts: it came later.
//
// # Bounds
//
// There are MaxDocuments rows. One document more replaces the one that was silent for the longest. The clusters of
// each document take at most MaxBytes, so all of it takes at most 4 MiB and 392 bytes. Clusters that do not fit are
// left out, and Read says so. There are a few small records beside that: when an operator last changed something (8
// bytes), how calls to Redis end (RedisCalls, at most 1,566 bytes), the last request whose cluster was not the one
// whose policy decided (Misroute, at most 2,060 bytes), what Redis last replied about a limit (RedisView, 48 bytes for each
// configuration of a limit of scope mesh, at most four a cluster), the keys that each cluster's limit refused most
// (RefusedKeys, at most 2.7 KB), the last changes of breakers (Change, at most 41 KB, 2 KB with ordinary names), each document's patterns that matched nothing (4 KiB), and for each cluster that an operator has reset, what its metrics had counted then
// (CountsAtReset, some 120 bytes) and which reset was sent to Redis (4 bytes).
//
// # The packed form
//
// Clusters are packed in binary, not as JSON. Measured with a policy that has all sections, Wasm in V8:
//
//	                               binary     JSON
//	bytes of a cluster                143      647
//	clusters that fit in MaxBytes   1,846      403
//	unpacking 1,000 natively        4.8 ms    39 ms
//	unpacking 1,000 in Wasm          27 ms   330 ms
//	packing 1,000 in Wasm            60 ms   270 ms
//
// The admin page reads all clusters once a second, on a worker thread that also serves traffic. So a Scan leaves it to the
// reader what is unpacked, and when.
//
// Tokens, header names, header values and bodies are never published: see Entry.
package registry

// Package bridge lets HTTP callers speak to Redis, in the dialect of Upstash's REST API: for where no Webdis runs, since
// Envoy's Wasm filters can make HTTP callouts and nothing else.
//
//	Envoy ──POST / ["EVALSHA","ab…","1","weir:{k}"]──►┌────────┐──RESP──► Redis (single, Sentinel, Cluster)
//	      ◄──────────200 {"result":[3,500]}───────────│ bridge │◄──────── or, embedded, miniredis in this process
//	                                                  └────────┘
//
//	POST /          ["COMMAND", "argument", …]        200 {"result": …}; 400 {"error": "NOSCRIPT …"} where Redis says so
//	POST /pipeline  [["COMMAND", …], ["COMMAND", …]]  200 [{"result": …}, {"error": …}, …], in order
//	GET  /health    no token needed                   200 {"status":"ok"}; 503 {"status":"…"} with the reason
//	GET  /metrics                                     Prometheus text
//
// Other statuses carry {"error": "…"} as well: 400 for what is not such a request, 401 without the token, 403 for a
// command that is not let through, 413 for a body or pipeline too large, 503 when more requests are under way than are
// bounded for, while draining, or when Redis cannot be reached, 504 when Redis did not answer in time.
//
// A command is sent to Redis once. What was sent and not answered is never sent again: a lease given back twice would be
// a token too many. Only a command that Redis refused with READONLY (a master that became a replica) is tried again, since
// a replica runs nothing that writes. A caller that leaves is dropped while it waits for a connection; after that its
// command runs to its end.
//
// The list of commands guards against mistakes and keeps shared connections usable. It is no wall: EVAL runs whatever a
// script says. What a stolen token may do is bounded by the ACL of the Redis user that the bridge logs in as.
//
// Upstash's dialect: https://upstash.com/docs/redis/features/restapi
package bridge

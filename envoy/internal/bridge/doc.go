// Package bridge serves Redis over HTTP, in the dialect of Upstash's REST API. It is for meshes without Webdis: Envoy's
// Wasm filters can make HTTP callouts, but no other connections.
//
//	Envoy ──POST / ["EVALSHA","ab…","1","weir:{k}"]──►┌────────┐──RESP──► Redis (single, Sentinel, Cluster)
//	      ◄──────────200 {"result":[3,500]}───────────│ bridge │◄──────── or, embedded, miniredis in this process
//	                                                  └────────┘
//
//	POST /          ["COMMAND", "argument", …]        200 {"result": …}; 400 {"error": "NOSCRIPT …"} for an error of Redis
//	POST /pipeline  [["COMMAND", …], ["COMMAND", …]]  200 [{"result": …}, {"error": …}, …], in order
//	GET  /health    no token needed                   200 {"status":"ok"}; 503 {"status":"…"} with the reason
//	GET  /metrics                                     Prometheus text
//
// Other statuses carry {"error": "…"} as well: 400 for a malformed request, 401 without the token, 403 for a command
// that is not allowed, 413 for a body or pipeline that is too large, 503 when too many requests are in flight, while
// draining, or when Redis cannot be reached, 504 when Redis did not answer in time.
//
// A command is sent to Redis once. A command that was sent and not answered is never sent again: a lease returned twice
// would admit too many requests. Only a command that Redis refused with READONLY (a master that became a replica) is
// sent again, since a replica runs no command that writes, and in a Redis Cluster one that was refused with MOVED or ASK:
// three times at most, four in a pipeline. When a caller leaves, its command is dropped while it waits
// for a connection; once sent, the command runs to its end.
//
// The list of allowed commands guards against mistakes and keeps the shared connections usable. It is not a security
// boundary: EVAL runs any command that a script contains. The ACL of the Redis user that the bridge logs in with is.
//
// Upstash's dialect: https://upstash.com/docs/redis/features/restapi
package bridge

// Package simulation runs meshes that are too large for a test machine: up to 1,000 proxies of 2 workers each, in
// simulated time. It consists of tests only; nothing is compiled into the filter.
//
//	traffic_test.go       mesh_test.go            network_test.go                redis_test.go
//	requests     ──────►  proxies, workers  ────► 0.1 to 1 ms each way,  ──────► Redis: one thread, its
//	(Poisson, on/off,     each a lease.Holder,    a tail, losses, late           clock is the simulation's,
//	 Zipf)                used as the filter      replies, pauses                runs package redis's scripts
//	                      uses it
//	                         │ when each request was admitted
//	                         ▼
//	                      measure_test.go: tokens too many, used share, fairness, waiting
//
// Real are lease.Holder, redis.Limit (the requests, and which replies are valid) and the Lua scripts, byte for byte.
// Simulated are time, the network, Redis's data types and the requests. TestRedisIsMiniredis compares the data types with
// miniredis, call by call.
//
// docs/simulation.md has the table, and says how to run it again.
package simulation

// Package simulation runs meshes that are larger than a test machine: up to 1,000 proxies of 2 workers each, in simulated
// time. All of it is tests; nothing is compiled into the filter.
//
//	traffic_test.go       mesh_test.go            network_test.go                redis_test.go
//	requests     ──────►  proxies, workers  ────► 0.1 to 1 ms each way,  ──────► Redis: one thread, its
//	(Poisson, on/off,     each a lease.Holder,    a tail, loss, late             clock is the simulation's,
//	 Zipf)                driven as package flow  replies, pauses                runs package redis's scripts
//	                      drives it
//	                         │ when each request was admitted
//	                         ▼
//	                      measure_test.go: tokens too many, share used, fairness, waiting
//
// What is real: lease.Holder, redis.Limit (what is asked, and what of an answer is believed) and the Lua scripts to the
// byte. What is simulated: time, the network, Redis's data types and the requests. The data types are held to miniredis,
// call by call, by TestRedisIsMiniredis.
//
// SIMULATION.md, one folder up, has the table and says how to make it again.
package simulation

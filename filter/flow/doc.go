// Package flow is what happens to one request, as a state machine that knows no proxy.
//
//	          Begin                     Answer                      End / Done
//	request ────────► breaker, limits ────────► upstream's answer ────────────► settled, exactly once
//	headers              │                          │
//	                     ▼ refused                  ▼ a failure, before a byte of it was sent
//	                   Reply: fallback or error   Reply: fallback, or it passes as it is
//
// Each call takes the time and returns a Step, one of a closed set; whoever holds the stream carries it out. What many
// workers must agree on is the cluster's record in a sharedstate.Store. What is worth knowing goes to an Observer.
//
// A request's outcome is settled at the earliest moment at which it is certain: a failing status or a reset when it is
// seen, a success when the answer has ended, Neither when the client left first. Calls may come after that, twice, or
// never: they change nothing more, and a probe that is never settled loses its place by its expiry.
package flow

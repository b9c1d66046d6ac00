// Package lease is a worker's part of a limit that proxies share: it holds tokens that it leased from Redis, spends
// them on requests, and says when Redis is to be called. It does no I/O, and time is an argument. Package redis has the
// proof that no token too many is used.
//
//	request ─► Take ─► Granted:   a token is there
//	                   Refused:   no token is left, see RetryAfter
//	                   Waiting:   for the call that is pending, or due
//	                   QueueFull: as many requests wait as may
//	                   RedisDown: no token, and Redis is not called now
//
//	CallDue is true, a call can be made   NextCall ─► what to send
//	Redis has replied                     Reply    ─► Decisions{Granted, Refused, Failed} on waiting requests
//	no reply, or none that can be used    Fail     ─► Decisions{Failed}
//	every 10 to 50 ms                     Tick     ─► Decisions
//
// One call is pending at a time. While traffic is steady no request waits: the call for the next lease is made when a
// quarter of the last one is left, or as much as is used while two calls take place. A lease is for 100 ms of traffic,
// and at most for half of its lifetime. When nothing is left, no call is made before the next token comes: see
// Holder.pause. Hundreds of proxies on a large limit let a time pass between their calls: see pace.go.
//
// The holder records when the tokens of a lease were used, as at most eight times, each later than the real one and
// never earlier, and reports them with its next call:
//
//	sent    4 used   9 used        2 never used
//	─┬──────┬────────┬─────────────┬─► the holder's clock
//	 └─ 0   └ 1.6 ms └ 3.2 ms      └ ttl: closed, reported by Tick if no other call is made
//
// Where calls are paced and a proxy gets few tokens, its workers have one Pool instead of a Holder each: see Part.
//
// A holder's memory is lost with its worker. The next worker has another name, and what the first one held expires.
package lease

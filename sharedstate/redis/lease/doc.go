// Package lease is the side of a worker in a limit that proxies share: it has tokens that it leased from Redis, spends them
// by itself, and says when a call should be made. It does no I/O, and time is an argument. Package redis has the proof that
// no token is one too many.
//
//	request ─► Take ─► Granted: a token is there
//	                   Refused: nothing is left, see RetryAfter
//	                   Waiting: for the call that is out, or due
//	                   Down:    Redis is not called now
//
//	Call is true: from where a call may be made,   Ask   ─► what to send
//	its answer comes                               Reply ─► Answer{Granted, Refused, Failed}: of those who wait, in order
//	it does not, or makes no sense                 Fail  ─► Answer{Failed}
//	every 10 to 50 ms                              Tick  ─► Answer
//
// One call is out at a time. While traffic is steady nobody waits: a call for the next lease goes out when a quarter of
// the last one is left, or what comes in the time that two calls take. A lease is meant for 100 ms of traffic, half of its life at most.
// When nothing is left, no call is made before the next token comes; see Holder.pause.
//
// Of a lease, the holder remembers when its tokens were used, in at most eight times, later than in truth and never
// earlier, and reports it with its next call:
//
//	sent    4 used   9 used        2 never used
//	─┬──────┬────────┬─────────────┬─► the holder's clock
//	 └─ 0   └ 1.6 ms └ 3.2 ms      └ ttl: closed, reported by Tick if no other call comes
//
// A holder's memory goes with its worker. The one that comes after it has another name, and what the former had expires.
package lease

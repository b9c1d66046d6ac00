// Package redis is a limit that many proxies share through Redis, without a call for each request. A worker leases
// tokens by an atomic script and spends them by itself. This package has the scripts, builds the requests to an HTTP
// bridge, and reads its responses. It does no I/O. Package lease has the worker's side.
//
//	worker of proxy 1 ── lease 25 ──┐                 ┌─────────────────────────────┐
//	worker of proxy 2 ── lease 10 ──┼─ HTTP ─ bridge ─► script, one slot, one clock │
//	worker of proxy 3 ── 3 used, ───┘                 │ weir:{aws_pricing}:2:…      │
//	                     7 given back                 └─────────────────────────────┘
//
// W is the window, L a lease's lifetime (ttl), g the time at which Redis granted it, by its own clock, the only one
// that scripts use. The holder's clock measures time that passed since before it sent the call. It uses a lease's
// tokens while less than L has passed, so before g + L. With its next call it settles the lease: it reports how many
// tokens it used and when, as times passed, rounded up, and never uses another one. Since the call was sent before g, a
// token that was used at x by Redis's clock is reported as used at u = g + passed, x <= u <= g + L.
//
// # Sliding window
//
// What a script counts at a time t:
//
//	unsettled lease    its tokens      ──┬──────────┬────────────────────────────┬──► t
//	                                     g         g+L     counts until        g+L+W
//	settled use        one each        ──┬──┬─────────────────────────────┬─────────► t
//	                                     g  u              counts until  u+W
//
// It grants only as much that the sum of what counts, the grant included, is at most the limit.
//
// No interval of length W, wherever it starts, has more than limit uses. Take the tokens that are used in [s, s+W), and
// of the grants that they came from the last one, at time G. Each of these tokens was granted at G or before, and
// counts at G: unsettled it counts until g+L+W, settled until u+W, both after x+W >= s+W > G (the last grant came
// before its token was used, in the interval). None of them had been given back, as tokens that are given back are
// never used. So all of them are in the sum that the script kept within the limit at G. For an adaptive limit it was
// the limit of that moment, never more than the configured one.
//
// Nothing depends on when, how often or in what order calls arrive. A lease that is settled is forgotten, so settling
// it a second time does nothing. A call that arrives twice with the same number gets the same lease. A call that
// arrives after its lease was settled gets a lease that no holder has, and its tokens are lost for L+W. A reply that
// the holder does not wait for any more is dropped; the holder's next call settles it as not used. What a crashed
// holder had is lost for as long.
//
// Redis reads its clock in whole microseconds, rounded down: the holder's L is shorter by one, and its reported times
// are later by one. Above a limit of 512, u is rounded up to W/512: records stay small, and a request counts for up to
// W/512 longer. A Redis that lost its data has forgotten its grants: up to one further limit may then be used in that
// window.
//
// # Redis's clock is moved
//
// By a step of NTP, a failover to a replica with another clock, or a dump of another machine. Set back, what was granted
// before would count for as long as the clock was set back, and so would keys and proxies that are gone. No entry can be
// later than now by more than a ttl, a level's time not at all: what is, is brought to the latest possible time (repair
// and live in the scripts; a bucket waits for up to 1 s first, and forgets its leases, whose unused tokens are then not
// given back). So the limit holds, and admits again within a window and a ttl. Set forward, entries expire and a bucket
// fills as if that time had passed, which it may have: up to one further limit or burst may then be used in that window,
// an adaptive limit may be forgotten, and live proxies count from their next call on.
//
// # Token bucket
//
// The bucket in Redis has the refill rate r and a capacity of C = burst - r L. What is used in (a, e] was granted in
// (a-L, e], in which a bucket grants at most C + r (e-a+L) = burst + r (e-a).
//
// Giving back must not add to that. To add what was not used, up to C, would: take two leases of C/2 that are never
// used, each renewed (given back and taken again) while the other is out. The level fills up to C beside them, and then
// 3/2 C are there at once. What may be given back is what the bucket would hold now if the tokens had never been
// granted. Let V be a bucket that at each grant takes only what is really used in the end: it satisfies the inequality
// above, as what is used in (a, e] is at most what it gives in (a-L, e]. It is enough that the level l is never above
// V's, since then V never lacks a token that l has. For a lease granted at g and settled at t, of which k tokens were
// not used, the script adds
//
//	b = min(k, C - M)   (nothing if that is negative)     M = l(g) + r (t-g) + what was given back in (g, t]
//
// where l(g) is the level right after the grant; M is at least the highest level since. Let A be the bucket V as far as
// leases that were settled before t are concerned, which takes others in full, and B the same with this lease too; A <=
// B <= V, and l <= A before t. If B has not been full since g, it is A + k at t, and l + b <= A + k. If it was full,
// for the last time at f, both got and gave the same since, except for what was given back in (f, t], that is, l(t) -
// l(f) <= B(t) - C + given back; and l(f) + given back <= M, so l(t) + b <= M + B(t) - C + b <= B(t). So l <= B from t
// on.
//
// L is (burst - 1) / 2r at most, so that half of the burst stays, but not below 5 ms. NewTokenBucket says for which
// small bursts this needs a slower refill: with C = 1 and the rate r' = burst / (1/r + L), m tokens used in an interval
// need (m-1)/r' - L of time, which for m > burst is at least (m - burst)/r.
//
// # Adaptive
//
// A sliding window whose limit the script moves, by the outcomes that calls report, with the formulas of
// ratelimit.AdaptiveConfig.
//
// # Several configurations
//
// Proxies may hold different numbers for one count: during a rollout, or two listeners. Each window and each bucket has
// a record of its own, and every call notes its grant and what it settles in all of them. So the proofs above hold for
// each: what counts includes what others were granted, which is never refused for a limit that is not theirs. A bucket
// may lack tokens for it: its level is then below 0, but not by more than what leases that are out may give back, since
// the bucket V above is never below 0. A configuration that is new takes over from the others, as a reload does in
// ratelimit.Adopt; one that made no call for a quarter of an hour is dropped; there are at most four.
//
// # Keys
//
// Each key of a limit has a record of its own, in the cluster's slot. A sorted set has the keys whose records differ
// from a fresh one, and until when. A key that is not in it while max_keys others are uses the record that all such
// keys share.
//
// # Cost
//
// A call costs what it expires and what it settles, not what the record holds. Each key in Redis has an expiry. A
// record has at most some 512 entries, and one for each lease that is out.
package redis

// Package retry decides whether a request is retried, when, and how many retries there may be in all. It is pure: time
// and randomness are arguments, and the counts of a budget are in bytes that the caller keeps.
//
//	an attempt ended                                                        the next attempt
//	───────────────►  Conditions  ───►   Backoff,            ───►  Budget  ────────────────►
//	                  is it of a         ParseRetryAfter           one left?
//	                  kind that is       how long to wait
//	                  retried?
//
// # Delays
//
// The n-th retry (from 0) waits base_delay x exponential_base^n, at most max_delay. With full jitter ("Exponential
// Backoff And Jitter", AWS Architecture Blog, 2015) it waits for a random time up to that. A Retry-After from upstream,
// at most max_delay, delays it:
//
//	                     no Retry-After     a Retry-After of r
//	no jitter            delay              max(delay, r)
//	full jitter          0 … delay          r … r + delay, at most max_delay
//
// So no retry is earlier than upstream asked, except if that is more than max_delay, and requests with the same date
// are not all retried in the same second. (Envoy's rate_limited_retry_back_off waits r … 1.5 r and ignores an r of more
// than its max_interval, so it retries early.)
//
// # The budget
//
// Retries are at most percent % of the requests of the last 10 s plus 10 x min_per_second. Both are counted by half
// seconds. The newest twenty of requests count, so that none older than 10 s counts; the newest twenty-one of retries,
// so that each younger than 10 s counts:
//
//	            │◄──────────────────── 10 s ───────────────────►│
//	requests    │ ├────┼────┼────┼─  …  ─┼────┼────┼────┼────┤  │      the newest twenty
//	retries   ├────┼────┼────┼────┼─  …  ─┼────┼────┼────┼────┤ │      the newest twenty-one
//	            │                                          now ─┘ newest, still filling
//
// With p = percent / 100 and m = 10 x min_per_second it follows:
//
//   - Exactly, at each retry: the retries of the 10 s up to it, itself included, are at most p x the requests of those
//     10 s + m. Hence in any 10 s, wherever they start, they are at most p x the requests of the 10 s before the last
//     retry in them + m. (The requests of just these 10 s can't bound them: a retry is later than its request.)
//   - Over any time from a fresh state, in which N half seconds pass: at most p x all requests + m x ⌈N / 21⌉. Take the last
//     retry, in half second s: those of s-20 … s are at most p x the requests of s-19 … s + m. The last one before
//     s-20 bounds the 21 half seconds up to it by requests that are older than those. And so on: no request is used twice.
//     So if all requests fail, upstream sees at most (1 + p) x requests + the minimum.
//   - It is never stricter than this: a retry is refused only where one more would exceed p x the requests of the last
//     9.5 s + m by the retries of the last 10.5 s. A steady storm gets 20/21 of its share.
//
// This is Finagle's RetryBudget (percentCanRetry, minRetriesPerSec, ttl 10 s), where a request's deposit expires when
// it is 10 s old, and min_per_second is added, not a floor. Envoy's own retry_budget bounds the retries that run at one
// moment by the requests that do (or that started within budget_interval), with min_retry_concurrency as a floor: an
// upstream that fails at once has hardly any running, whatever their number.
//
// If Envoy's router makes the retries, it gets their number in advance: the filter takes them by Reserve, and reports
// by Settle how many were used:
//
//	Reserve 2 ──────── retry ──────── Settle, 1 used        the reserved two are given back,
//	  └ both count from here                └ the one counts from here, no earlier than it was sent
//
// A reservation that is never settled (its worker crashed) counts for 10 s, as if all of it had been used at once. The
// bound over a long time holds for reservations as it does for retries, settled or not, for each counts for 10 s at
// least from when it was granted. That of any 10 s has the 10 s before the last grant, and holds for requests that
// settle within 10 s of their Reserve; a retry of a longer one is counted when that settles.
//
// The price is that a reservation counts while its request runs: if the requests in flight have reserved the whole
// budget, the next ones get none, although nothing fails. With 1,000 requests a second, two retries each and 20 %, that
// happens when upstream takes about a second.
package retry

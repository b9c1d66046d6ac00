// Package fallback says which answer stands in for upstream's, and which of upstream's answers may be stored for that, as
// pure functions. Time is an argument.
//
//	reason ──► on? ──no──► none: the refusal, or upstream's own answer
//	            │
//	           yes
//	            ▼
//	        cache ──► stale cache ──► default data ──► degraded mode ──► none
//
// The first that has something answers: WantsCache, Serve, Choose.
//
// # What is stored
//
//	request ──► Request ──► AppendKey ──► upstream ──► Answer ──► Kept headers, body ──► the cache
//	              │ no                                   │ no
//	              ▼                                      ▼
//	          neither stored nor served              not stored
//
// The rules are those of a shared cache (RFC 9111), and where that trusts upstream to say what is private, stricter: this
// one is on by default, in front of upstreams that never heard of it. So a request has no part in the cache when
//
//   - it is none of GET and HEAD, has a body, is gRPC or asks for an upgrade,
//   - a header tells who asks, or steers upstream elsewhere: see names.go; save those that cache_key_headers lists.
//
// And an answer is not stored when
//
//   - it is none of 2xx, or 206, or 226; or, beside 200, 203 and 204, without a word that it may be,
//   - cache-control has no-store, private, no-cache, must-revalidate or proxy-revalidate in any form, or can't be read;
//     or pragma has no-cache, without a cache-control,
//   - it sets a cookie, asks who is there, or has a header named like a secret; or allows one origin of CORS, while
//     origin is not in cache_key_headers,
//   - vary names anything but accept-encoding and what is in the key,
//   - its content coding is none of those in codings.go, or is several; or it is a piece, a stream of events, or gRPC,
//   - it would be too old at once.
//
// # What it is stored under
//
// The key has the target as it was sent, what proxies tell of it (x-forwarded-proto, -host, …) and cache_key_headers:
// see key.go. Under it there is room for four variants: the answer to GET, and to HEAD, each coded and not. HEAD is
// answered from a GET's where there is one. A client's address (x-forwarded-for) is in no key: an upstream that answers
// by it has to say private.
//
// # For how long
//
//	age  0 ──────────── fresh ──────────── bound ────►
//	     │     cache      │   stale cache    │  never
//
// See Serve.
package fallback

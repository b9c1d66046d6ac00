// Package fallback chooses the answer that replaces upstream's, and decides which of upstream's answers may be stored
// for that, as pure functions. Time is an argument.
//
//	reason ──► on? ──no──► none: the refusal, or upstream's own answer
//	            │
//	           yes
//	            ▼
//	        cache ──► stale cache ──► default data ──► degraded mode ──► none
//
// The first step that has an answer is used: WantsCache, Serve, Choose.
//
// # What is stored
//
//	request ──► Request ──► AppendKey ──► upstream ──► Answer ──► Kept headers, body ──► the cache
//	              │ no                                   │ no
//	              ▼                                      ▼
//	          neither stored nor served              not stored
//
// The rules are those of a shared cache (RFC 9111), but stricter where that relies on upstream to mark private answers:
// this cache is on by default, in front of upstreams that do not expect one. So a request is neither answered from the
// cache nor stored if
//
//   - it is not GET or HEAD, has a body, is gRPC or asks for an upgrade,
//   - a header is a credential or reroutes the request (see names.go) and is not in cache_key_headers.
//
// Unless the policy has `shared: true`, any other header that is neither in the key nor in the list of harmless ones may say
// who asks. Such a request gets and stores only answers that upstream calls public. The caller adds what it knows of who
// asks besides the headers, and the route.
//
// And an answer is not stored if
//
//   - its status is not 2xx, or is 206 or 226; or is not 200, 203 or 204 and the answer does not allow it explicitly,
//   - cache-control has no-store, private, no-cache, must-revalidate or proxy-revalidate in any form, or is malformed; or
//     pragma has no-cache, without a cache-control,
//   - it sets a cookie, asks for authentication, or has a header named like a secret; or allows a single CORS origin, while
//     origin is not in cache_key_headers,
//   - vary names anything but accept-encoding and headers in the key,
//   - its content coding is not in codings.go, or there are several; or it is partial, an event stream, or gRPC,
//   - it would be too old at once.
//
// # What it is stored under
//
// The key consists of the target as it was sent, what proxies report of it (x-forwarded-proto, -host, …) and
// cache_key_headers: see key.go. Each key has four variants: the answers to GET and to HEAD, each with a content coding
// and without. HEAD is answered from a GET's answer if there is one. A client's address (x-forwarded-for) is in no key:
// an upstream whose answers depend on it must mark them private.
//
// # For how long
//
//	age  0 ──────────── fresh ──────────── bound ────►
//	     │     cache      │   stale cache    │  never
//
// See Serve.
package fallback

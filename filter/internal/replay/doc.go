// Package replay has the messages of `driver: filter`: the copy of a request that is recorded during its first attempt,
// the request of the next attempt, and the response of that attempt as the client gets it. It does not depend on a
// proxy.
//
//	request headers, body pieces ──► Recording ──► Request ──► call to the cluster
//	      as they stream past          │ Whole?                      │
//	                                   ▼ no: Reason                  ▼
//	                         the first response passes           Response ──► the client, in place of the first
//
// The reasons for the details were seen in Envoy 1.40 (HTTP calls of Wasm are its AsyncClient):
//
// # Requests
//
//   - The headers are sent as they are given: `connection` and what it names, `te` and `expect` too. With a body,
//     `transfer-encoding` makes a message that upstream can't read. So hop-by-hop headers are removed here.
//   - `content-length` is set from the body. The `x-envoy-…` headers that control a router also control this one: a
//     copy of x-envoy-max-retries would be retried by Envoy. So they are removed.
//   - Trailers are never sent ("TODO: support request trailers"): a request with trailers is not sent again.
//   - x-envoy-internal: true is added, which the plugin in the internal listener removes. x-forwarded-for stays as it was recorded,
//     which is as the first attempt had it.
//   - A call does not wait for a 100 (Continue), and drops interim responses.
//
// # Responses
//
//	upstream responded
//	    the callback gets   its headers, with x-envoy-upstream-service-time
//	    Details             via_upstream
//	no connection, reset, …
//	    the callback gets   502 or 503 and Envoy's text, without that header
//	    Details             upstream_reset_before_response_started{…}
//	no response within the timeout
//	    the callback gets   504 and Envoy's text, without that header
//	    Details             response_timeout
//	body broken off, not complete in time, or of more than 32 MiB
//	    the callback gets   no headers at all
//	    Details             upstream_reset_after_response_started{…}, or response_timeout
//	no such cluster
//	    there is no callback: the call fails at once
//
// That is what a call to a cluster gets. Attempts go through an internal listener (retry.via), where another plugin of
// the worker notes in Attempt what Envoy says there: it counts for more.
//
// Envoy overwrites x-envoy-upstream-service-time on each response of upstream's, and sets it on none of its own:
// upstream can neither forge it nor leave it out.
//
// A response is buffered whole, in Envoy and then in the module, whose memory never shrinks: InFlight bounds it. The
// client gets it as a local reply. That takes several headers of one name (Set-Cookie), keeps upstream's date, sets
// content-length itself and content-type to text/plain if there is none, and has neither trailers nor, for HEAD, a
// content-length. So the response to a HEAD replaces the headers of the first one (InPlace), which Envoy still holds
// back. A gRPC response has its status in the trailers: such requests are not recorded.
package replay

// Package replay knows the messages of `driver: filter`: the copy of a request that is kept while its first try runs, the
// request that is made of it for the next one, and what that one's answer is to the client. It knows no proxy.
//
//	request headers, body pieces ──► Recording ──► Request ──► call to the cluster
//	      as they stream past          │ Whole?                      │
//	                                   ▼ no: Reason                  ▼
//	                          the first answer stands             Answer ──► the client, in place of the first
//
// What decides the shape was seen in Envoy 1.40 (HTTP calls of Wasm are its AsyncClient):
//
// # Requests
//
//   - The headers go out as they are given: `connection` and what it names, `te`, `expect` too; `transfer-encoding` with
//     a body makes a message that upstream can't read. So what belongs to one connection is taken out here.
//   - `content-length` is set from the body. The `x-envoy-…` headers that steer a router steer this one as well, so that
//     a copy of x-envoy-max-retries would be retried by Envoy: they are taken out.
//   - Trailers are never sent ("TODO: support request trailers"): a request that has some is not sent again.
//   - Added are x-envoy-internal: true and x-envoy-expected-rq-timeout-ms. x-forwarded-for stays as it was recorded,
//     which is as the first try had it.
//   - A call waits for no 100 (Continue), and drops the interim answers that come.
//
// # Answers
//
//	what happened                      the callback sees                                              Details
//	upstream answered                  its headers, with x-envoy-upstream-service-time                via_upstream
//	no connection, reset, …            502 or 503 and Envoy's text, without that header               upstream_reset_before_response_started{…}
//	no answer within the timeout       504 and Envoy's text, without that header                      response_timeout
//	body broken off, or not in time,   no headers at all                                              upstream_reset_after_response_started{…},
//	or of more than 32 MiB                                                                            or response_timeout
//	no healthy host, too many          no callback: the call fails at once                            NotSent
//	requests, no such cluster
//
// Envoy writes x-envoy-upstream-service-time over whatever upstream says there, on each of its answers and on none of Envoy's
// own: upstream can neither forge it nor leave it out.
//
// An answer is buffered whole, in Envoy and then in the module, whose memory never shrinks: MaxResponse bounds it. It goes to
// the client as a local reply. That takes headers of one name as they are, Set-Cookie too, keeps upstream's date, sets
// content-length itself and content-type to text/plain where there is none, has no trailers, and no content-length for
// HEAD. So the answer to a HEAD takes the place of the first one's headers (InPlace), which Envoy still holds back. A
// gRPC answer has its status in the trailers: such requests are not recorded.
package replay

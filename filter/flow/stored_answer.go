package flow

import (
	"slices"
	"strconv"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/fallback"
)

// cached makes the answer out of one that was kept: its own status, headers and body, and what tells that it was.
func (a *answers) cached(x *Exchange, reason fallback.Reason, k *kept) Reply {
	reply := Reply{Status: int(k.entry.Status), GRPC: noGRPC, Body: k.entry.Body, Details: "weir_" + reason.String()}
	headers := make([]Header, 0, 24)
	etag := ""
	k.entry.Headers(func(name, value string) bool {
		if name == "etag" {
			etag = value
		}
		headers = append(headers, Header{name, value})
		return true
	})
	if inm := x.request.Cache.IfNoneMatch; inm != "" && fallback.NotModified(inm, etag) {
		reply.Status, reply.Body = 304, nil // the client has this very answer (RFC 9110, section 13.1.2)
		headers = slices.DeleteFunc(headers, func(h Header) bool { return !fallback.KeepNotModified(h[0]) })
	}
	headers = append(headers,
		Header{"age", strconv.FormatInt(k.served.Age, 10)},
		Header{"cache-status", k.served.CacheStatus()},
		Header{HeaderSource, k.served.Source.String()}, Header{HeaderReason, reason.String()}, Header{HeaderFallbackUsed, "true"})
	if k.served.Source == fallback.FromStaleCache {
		headers = append(headers, Header{"warning", fallback.Warning})
	}
	if x.limit.Admitted && x.plan.limitHeaders == policy.HeadersAll || reason == fallback.RateLimited && x.plan.limitHeaders != policy.HeadersNone {
		headers = append(headers, a.limitHeaders(&x.limit)...)
	}
	reply.Headers = headers
	return reply
}

package localreply

import (
	"slices"
	"strconv"

	"github.com/weir-mesh/weir/filter/internal/fallbackcache"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
)

// Kept is the reply from a kept response: its own status, headers and body, and the headers that say where it comes
// from. IfNoneMatch is the request's, "" if it has none.
func (rs *Replies) Kept(r *Request, k *fallbackcache.Kept, ifNoneMatch string) *Reply {
	reply := &Reply{Status: int(k.Entry.Status), GRPC: NoGRPC, Body: k.Entry.Body, Details: details(r.Reason)}
	headers := make([]header.Pair, 0, 24)
	etag, caches := "", "" // caches: the members of those that the answer passed before
	k.Entry.Headers(func(name, value string) bool {
		switch name {
		case "etag":
			etag = value
		case "cache-status":
			if value != "" {
				caches += value + ", "
			}
			return true
		}
		headers = append(headers, header.Pair{name, value})
		return true
	})
	if ifNoneMatch != "" && fallback.NotModified(ifNoneMatch, etag) {
		reply.Status, reply.Body = 304, nil // the client has this very response (RFC 9110, section 13.1.2)
		headers = slices.DeleteFunc(headers, func(h header.Pair) bool { return !fallback.KeepNotModified(h[0]) })
	}
	headers = append(headers,
		header.Pair{"age", strconv.FormatInt(k.Served.Age, 10)},
		header.Pair{"cache-status", caches + k.Served.CacheStatus(r.Forwarded)},
		header.Pair{header.Source, k.Served.Source.String()},
		header.Pair{header.Reason, r.Reason.String()},
		header.Pair{header.FallbackUsed, "true"})
	if k.Served.Source == fallback.FromStaleCache {
		headers = append(headers, header.Pair{"warning", fallback.Warning})
	}
	reply.Headers = rs.appendLimit(headers, r)
	return reply
}

package fallback

// Obstacle is why an answer of upstream's is not kept, or why a request that upstream fails gets no kept one. The names are
// those of the metrics' label `reason`.
type Obstacle uint8

// The obstacles. The order is that of counts in shared data: a new one goes to the end.
const (
	NoObstacle Obstacle = iota

	// Of the request, for both.
	Credential     // authorization, cookie or proxy-authorization, which are not in cache_key_headers
	Rerouting      // a header by which an upstream may take another path or method
	RequestBody    // a GET or HEAD with a body
	UnlistedHeader // a header that is neither in cache_key_headers nor harmless
	UnseenIdentity // metadata, a certificate or an internal listener, where the policy is not `shared: true`
	UnnamedRoute   // the route has no name, so other routes can't be told from it, and the policy is not `shared: true`
	RequestNoStore // cache-control of the request; for keeping
	Condition      // if-match or if-unmodified-since; for using

	// Of the response, for keeping.
	StatusNotKept   // not a 2xx, or one that is kept only with an explicit lifetime
	NoStore         // the cache-control directives
	Private         //
	NoCache         // also pragma's
	MustRevalidate  // and proxy-revalidate
	BadCacheControl // it can't be read
	VaryBy          // a header that is not in the key
	SetCookie       //
	ResponseHeader  // authentication, clear-site-data, a header named like a secret, one that `connection` names
	CORSOrigin      // a single origin, which is not in the key
	Coding          // unknown, or several; for using: the client does not accept the kept answer's
	ContentType     // partial, an event stream, gRPC
	UnknownLength   // neither content-length nor chunked
	Expired         // too old when it came
	TooLarge        // max_body_bytes, or 64 KiB of headers
	NoRoom          // the worker is copying 4 MiB of others
	TooSlow         // it took more than a minute
	CutOff          // its end never came
	Trailers        //
	Superseded      // what came later is kept already, or it was invalidated meanwhile
	InnerWeir       // an answer of another Weir in place of its upstream

	// Of what is kept, for using.
	NothingKept // under this key: the target, the headers of the key and the route
	TooOld      // older than cache_staleness_threshold or stale-if-error

	Obstacles // how many there are
)

// String is the obstacle's name.
func (o Obstacle) String() string {
	return [Obstacles]string{
		"none",
		"credential", "rerouting_header", "request_body", "unlisted_header", "unseen_identity", "unnamed_route",
		"request_no_store", "request_condition",
		"status", "no_store", "private", "no_cache", "must_revalidate", "malformed_cache_control", "vary", "set_cookie",
		"response_header", "cors_origin", "content_encoding", "content_type", "unknown_length", "expired", "too_large", "no_room",
		"too_slow", "cut_off", "trailers", "superseded", "inner_weir",
		"nothing_kept", "too_old",
	}[o]
}

// ToKeeping is why the request's answer is not kept, whatever it is.
func (q *Request) ToKeeping() Obstacle {
	if q.Store {
		return NoObstacle
	}
	return q.Obstacle
}

// ToUsing is why the request gets no kept answer, whatever is kept.
func (q *Request) ToUsing() Obstacle {
	if q.Lookup {
		return NoObstacle
	}
	return q.Obstacle
}

package fallback

// Reason is why a request does not get upstream's answer. The names are those of x-weir-reason.
//
// The reason of a new stage goes directly before UpstreamFailure, which has to stay the last one: arrays by reason are
// sized by it. These places list the reasons and have to follow: String; in policy, Reasons and decodeReasons (the words
// of fallback.on); in filter/internal, localreply/reply.go (title, status and text), request/compiled.go (Config.On),
// request/explain.go, and admin/counts.go, where BulkheadFull is the last decision; adminapi.Requests, with
// admin/status.go, which fills it, and envoy/internal/status, which shows it.
//
// admin/counts.go stores counts in shared data when an operator resets a cluster (registry.CountsAtReset): first by
// reason, then by source and so on. A new reason moves all counts behind it, so raise countsVersion in
// sharedstate/registry/reset.go, or what an older module stored is subtracted from the wrong counts.
type Reason uint8

// The reasons; None if the request was allowed.
const (
	None Reason = iota
	RateLimited
	CircuitOpen
	BulkheadFull
	UpstreamFailure
)

// String is the reason's name in the x-weir-reason header and the metric's `decision` label.
func (r Reason) String() string {
	return [...]string{"allowed", "rate_limited", "circuit_open", "bulkhead_full", "upstream_failure"}[r]
}

// Source is where an answer comes from. The names are those of x-weir-source.
type Source uint8

// The sources of an answer; those of a fallback in the order in which they are tried.
const (
	FromUpstream   Source = iota
	FromError             // no fallback applies
	FromCache             // a stored answer
	FromStaleCache        // a stored answer that is no longer fresh
	FromDefault
	FromDegraded
)

// String is the source's name in the x-weir-source header and the metric's `source` label.
func (s Source) String() string {
	return [...]string{"upstream", "error", "cache", "stale_cache", "default", "degraded"}[s]
}

// IsFallback reports whether a value of x-weir-source says that a Weir has answered in place of its upstream.
func IsFallback(source string) bool {
	for s := FromError; s <= FromDegraded; s++ {
		if source == s.String() {
			return true
		}
	}
	return false
}

// Config is what the policy says of the fallback chain.
type Config struct {
	On       [UpstreamFailure + 1]bool // by reason
	Cache    bool                      // stored answers may be used
	Default  bool                      // default data may be used, where there is some for the request
	Degraded bool                      // degraded mode may be used
}

// WantsCache reports whether to look into the cache: the chain applies to this reason and has a cache.
func (c *Config) WantsCache(reason Reason) bool { return c.Cache && c.On[reason] }

// ForError is the chain for a request whose method is not in fallback.methods: only degraded mode may answer it.
func (c *Config) ForError() *Config {
	degraded := *c
	degraded.Cache, degraded.Default = false, false
	return &degraded
}

// Choose returns the first step of the chain that has an answer. found is the source that Serve returned for a stored
// answer, FromCache or FromStaleCache; anything else means that there is none. It is ignored unless WantsCache.
// hasDefault: there is default data for the request. FromError means that no step has an answer: the client gets the refusal, or
// upstream's own answer. tried reports whether the chain applies to this reason.
func Choose(c *Config, reason Reason, found Source, hasDefault bool) (s Source, tried bool) {
	switch {
	case !c.On[reason]:
		return FromError, false
	case c.Cache && (found == FromCache || found == FromStaleCache):
		return found, true
	case c.Default && hasDefault:
		return FromDefault, true
	case c.Degraded:
		return FromDegraded, true
	default:
		return FromError, true
	}
}

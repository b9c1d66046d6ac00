package fallback

// Reason is why a request did not get upstream's answer. The names are those of x-weir-reason.
type Reason uint8

// The reasons, None where a request was allowed.
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

// Source is where an answer came from. The names are those of x-weir-source.
type Source uint8

// The sources of an answer; those of a fallback in the order in which they are tried.
const (
	FromUpstream   Source = iota
	FromError             // no fallback had one
	FromCache             // a stored answer
	FromStaleCache        // a stored answer that is past its time
	FromDefault
	FromDegraded
)

// String is the source's name in the x-weir-source header and the metric's `source` label.
func (s Source) String() string {
	return [...]string{"upstream", "error", "cache", "stale_cache", "default", "degraded"}[s]
}

// Config is what the chain is told by its policy.
type Config struct {
	On       [UpstreamFailure + 1]bool // by reason
	Cache    bool                      // stored answers may be used
	Default  bool                      // there is default data, and it may be used
	Degraded bool                      // degraded mode may be used
}

// WantsCache says whether a look into the cache is worth its price: the chain is asked for this reason, and begins
// there.
func (c *Config) WantsCache(reason Reason) bool { return c.Cache && c.On[reason] }

// Choose takes the first step of the chain that has an answer, after a look into the cache, which found what Serve calls
// FromCache or FromStaleCache; anything else is nothing found. FromError means that no step has: the refusal is told, or
// upstream's own answer passes. Tried says whether the chain was asked at all. Where WantsCache says no, what was found is
// passed over.
func Choose(c *Config, reason Reason, found Source) (s Source, tried bool) {
	switch {
	case !c.On[reason]:
		return FromError, false
	case c.Cache && (found == FromCache || found == FromStaleCache):
		return found, true
	case c.Default:
		return FromDefault, true
	case c.Degraded:
		return FromDegraded, true
	default:
		return FromError, true
	}
}

package fallback

import (
	"strconv"
	"time"
)

// Served is how a stored answer may be used.
type Served struct {
	Source Source // FromCache or FromStaleCache; FromError: it must not be used
	Age    int64  // seconds, of the Age header
	TTL    int64  // remaining seconds of freshness, below 0 if it is stale
}

// Serve decides about a stored answer by its age in nanoseconds: Answer.Age, and the time since it was stored. lifetime
// and staleIfError are the Answer's. All comparisons are in nanoseconds and inclusive:
//
//	0 ───────────────── fresh ─────────────── bound ────────►  age
//	│  cache, age <= fresh │ stale_cache, <= bound │ never
//
//	fresh = fallback_data_ttl, or lifetime where that is stated and less
//	bound = cache_staleness_threshold; with stale-if-error=N (RFC 5861, section 4) not more than
//	        N + lifetime, N + fallback_data_ttl where no lifetime is stated
//
// A time of 0 is never reached: max-age=0 is stale at once.
func (r *CacheRules) Serve(age int64, lifetime, staleIfError uint32) Served {
	age = max(age, 0)
	stated := r.ttl
	if lifetime != NoSeconds {
		stated = int64(lifetime) * int64(time.Second)
	}
	fresh, bound := min(r.ttl, stated), r.staleness
	if staleIfError != NoSeconds {
		bound = min(bound, stated+int64(min(staleIfError, maxSeconds))*int64(time.Second))
	}
	s := Served{Source: FromError, Age: age / int64(time.Second), TTL: floorSeconds(fresh - age)}
	switch {
	case age > bound || bound == 0:
	case age <= fresh && fresh > 0:
		s.Source = FromCache
	default:
		s.Source = FromStaleCache
	}
	return s
}

// floorSeconds rounds down: an answer that is stale by a fraction of a second has a negative number.
func floorSeconds(d int64) int64 {
	seconds := d / int64(time.Second)
	if d%int64(time.Second) < 0 {
		seconds--
	}
	return seconds
}

// CacheStatus is the member of the cache-status header (RFC 9211, section 2) for an answer from the cache. Forwarded is the
// status of the failure that it replaces, upstream's or Envoy's own (503 for a reset); 0 if the request was not forwarded:
//
//	weir; hit; ttl=297                          refused by Weir, the cache answered
//	weir; fwd=bypass; fwd-status=503; ttl=297   the cache is asked only when upstream fails
//	weir; fwd=stale; fwd-status=503; ttl=-12    and what it had was stale
func (s *Served) CacheStatus(forwarded int) string {
	member := "weir; hit"
	if forwarded != 0 {
		why := "bypass"
		if s.Source == FromStaleCache {
			why = "stale"
		}
		member = "weir; fwd=" + why + "; fwd-status=" + strconv.Itoa(forwarded)
	}
	return member + "; ttl=" + strconv.FormatInt(s.TTL, 10)
}

// Warning is the warning header (RFC 7234, section 5.5.1) of a stale answer.
const Warning = `110 weir "Response is Stale"`

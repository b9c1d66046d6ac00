package policy

import (
	"math/bits"
	"strconv"
	"time"
)

const (
	maxRequests = 10_000_000
	maxCount    = 1_000_000
	maxShards   = 64
)

var refillRange = between{low: 1e-6, high: maxCount}

// decodeRateLimit reads `rate_limit`. The keys of the other algorithms are checked as well.
func decodeRateLimit(s *section) *RateLimit {
	if s == nil {
		return nil
	}
	r := &RateLimit{
		Algorithm: Algorithm(s.choice("algorithm", "sliding_window", "token_bucket", "adaptive")),
		Window:    s.duration("window_size", time.Minute, 100*time.Millisecond, longest),
		Burst:     s.whole("burst_capacity", 20, 1, maxCount),

		AdaptiveThreshold:  s.number("adaptive_threshold", 0.8, between{low: 0, openLow: true, high: 1}),
		BackoffFactor:      s.number("backoff_factor", 0.7, between{low: 0, openLow: true, high: 1, openHigh: true}),
		RecoveryFactor:     s.number("recovery_factor", 1.2, between{low: 1, openLow: true, high: 100}),
		AdaptiveInterval:   s.duration("adaptive_interval", 10*time.Second, 100*time.Millisecond, longest),
		AdaptiveMinSamples: int(s.whole("adaptive_min_samples", 10, 1, maxCount)),

		Scope:   Scope(s.choice("scope", "proxy", "mesh")),
		Key:     decodeKey(s),
		MaxKeys: int(s.whole("max_keys", 1024, 1, 65536)),
		Show:    ShowKeys(s.choice("show_keys", "hash", "plain", "off")),
		Headers: HeadersMode(s.choice("headers", "refused", "all", "none")),
	}
	r.Requests = decodeRequests(s, r.Window)
	r.Refill = decodeRefill(s, r)
	r.Lease = decodeLease(s.subsection("lease"), r.Window)
	r.Shards = decodeShards(s, r)
	s.end()
	return r
}

// decodeRequests reads the limit of a window: `requests`, or requests_per_minute x window / 60 s, rounded down, at
// least 1.
func decodeRequests(s *section, window time.Duration) int64 {
	perMinute := s.whole("requests_per_minute", 100, 1, maxRequests)
	requests, written := s.optionalWhole("requests", "requests_per_minute x window_size / 60s", 1, maxRequests)
	if s.has("requests") && s.has("requests_per_minute") {
		s.mistake("requests", "can't be combined with requests_per_minute; remove one")
	}
	if written {
		return requests
	}
	// The product needs up to 70 bits. The quotient fits: its upper word is below the divisor.
	high, low := bits.Mul64(uint64(perMinute), uint64(window))
	quotient, _ := bits.Div64(high, low, uint64(time.Minute))
	if quotient > maxRequests {
		if s.clean() {
			s.mistake("requests_per_minute", "amounts to "+strconv.FormatUint(quotient, 10)+" requests in "+durationText(window)+", must be at most "+strconv.Itoa(maxRequests))
		}
		return maxRequests
	}
	return max(int64(quotient), 1)
}

// decodeRefill reads `refill_rate`, whose default is the limit of a window spread over it.
func decodeRefill(s *section, r *RateLimit) float64 {
	refill, written := s.optionalNumber("refill_rate", "requests / window_size", refillRange)
	if written {
		return refill
	}
	refill = float64(r.Requests) / r.Window.Seconds()
	if problem := refillRange.problem(refill); problem != "" && r.Algorithm == TokenBucket && s.clean() {
		s.mistake("refill_rate", "requests / window_size "+problem+" tokens a second")
	}
	return refill
}

// decodeShards reads `shards`.
func decodeShards(s *section, r *RateLimit) int {
	n := s.whole("shards", 1, 1, maxShards)
	if n == 1 || r.Scope != ScopeMesh || !s.clean() {
		return 1
	}
	tokens, of := r.Requests, "requests"
	if r.Algorithm == TokenBucket {
		tokens, of = r.Burst, "burst_capacity"
	}
	switch {
	case len(r.Key) > 0:
		s.mistake("shards", "can't split a limit that has a key; remove one of the two")
	case r.Algorithm == Adaptive:
		s.mistake("shards", "can't split an adaptive limit; remove shards, or choose another algorithm")
	case n > tokens:
		s.mistake("shards", "must be at most "+of+" ("+strconv.FormatInt(tokens, 10)+")")
	}
	return int(n)
}

// decodeLease reads `lease`. A lease is at most a tenth of the window, so that little is lost when its holder crashes.
func decodeLease(s *section, window time.Duration) Lease {
	l := Lease{
		MaxTokens: s.whole("max_tokens", 0, 0, maxCount),
		TTL:       min(s.duration("ttl", 500*time.Millisecond, shortest, longest), window/10),
	}
	s.end()
	return l
}

package fallback

import (
	"math"
	"slices"
	"time"
)

// Headers are a message's, in order, names in lower case, pseudo headers included. The texts are good only while All
// runs: what is kept of them is copied.
type Headers interface {
	All(yield func(name, value string) bool)
}

// CacheRules are one cluster's rules of what may be stored and served. They belong to one worker, and look at one
// message at a time: what a walk over the headers collects lies in them, so that none costs an allocation.
type CacheRules struct {
	ttl, staleness int64    // nanoseconds
	names          []string // cache_key_headers, sorted, each once
	head           []byte   // of each key: those names

	request requestWalk
	answer  answerWalk
	key     keyWalk
	// The walks' steps, made once: a method's value is an allocation.
	seeRequest, seeAnswer, seeKey func(name, value string) bool
}

// NewCacheRules compiles fallback_data_ttl, cache_staleness_threshold and cache_key_headers (in lower case).
func NewCacheRules(ttl, staleness time.Duration, keyHeaders []string) *CacheRules {
	names := slices.Clone(keyHeaders)
	slices.Sort(names)
	r := &CacheRules{ttl: int64(ttl), staleness: int64(staleness), names: slices.Compact(names)}
	for _, name := range r.names {
		r.head = appendPart(r.head, markConfigured, name)
	}
	r.seeRequest, r.seeAnswer, r.seeKey = r.stepRequest, r.stepAnswer, r.stepKey
	return r
}

// keyed says whether a header is in cache_key_headers.
func (r *CacheRules) keyed(name string) bool { return slices.Contains(r.names, name) }

// NoSeconds stands for a number of seconds that an answer did not state.
const NoSeconds = math.MaxUint32

// maxSeconds is what a larger number of seconds is read as (RFC 9111, section 1.2.2): 68 years.
const maxSeconds = 1 << 31

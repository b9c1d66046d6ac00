package fallback

import (
	"math"
	"slices"
	"time"

	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/policy/heapsort"
)

// Headers are the headers of one message. Their strings are valid only while All runs: copy what is kept.
type Headers = header.Headers

// CacheRules are one cluster's rules for what may be stored and served. They belong to one worker and read one message
// at a time: what they collect from its headers is kept in them, so that reading allocates nothing.
type CacheRules struct {
	ttl, staleness int64    // nanoseconds
	shared         bool     // answers depend on nothing but the key
	names          []string // cache_key_headers with dashes, sorted, each once
	head           []byte   // start of each key: those names

	request requestWalk
	parts   []part // of its key; their strings are those of its headers
	answer  answerWalk
	// The callbacks for Headers.All, created once: each method value is an allocation.
	seeRequest, seeAnswer func(name, value string) bool
}

// NewCacheRules compiles fallback_data_ttl, cache_staleness_threshold, cache_key_headers (in lower case) and shared.
func NewCacheRules(ttl, staleness time.Duration, keyHeaders []string, shared bool) *CacheRules {
	var names []string
	for _, name := range keyHeaders {
		names = append(names, dashed(name))
	}
	if !shared {
		names = append(names, "accept-language") // answers may depend on it without a vary
	}
	heapsort.Strings(names)
	r := &CacheRules{ttl: int64(ttl), staleness: int64(staleness), shared: shared, names: slices.Compact(names)}
	for _, name := range r.names {
		r.head = appendPart(r.head, markConfigured, name)
	}
	r.seeRequest, r.seeAnswer = r.stepRequest, r.stepAnswer
	return r
}

// Shared reports whether answers depend on nothing but the key.
func (r *CacheRules) Shared() bool { return r.shared }

// keyed reports whether a header is in cache_key_headers. The name is dashed.
func (r *CacheRules) keyed(name string) bool { return slices.Contains(r.names, name) }

// NoSeconds means that an answer does not state a number of seconds.
const NoSeconds = math.MaxUint32

// maxSeconds is what larger numbers of seconds are clamped to (RFC 9111, section 1.2.2): 68 years.
const maxSeconds = 1 << 31

package flow

import (
	"strings"
	"time"

	"github.com/dchest/siphash"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/cache"
)

// cached is a cluster's fallback cache, for one worker.
type cached struct {
	rules   *fallback.CacheRules
	answers *cache.Cache
	maxBody int
	seed    [2]uint64

	buf    []byte // for keys, and then for heads
	recent [recentKeys]recent
}

// recent remembers which keys this worker stored last, so that a hot one costs nothing more for the next second: one
// place for each remainder of the key, 4 KB in all.
type recent struct {
	key uint64
	at  int64
}

const recentKeys = 256

// CacheKey is what the cache knows of a request.
type CacheKey struct {
	fallback.Request
	key  sharedstate.Fingerprint
	path uint64 // keyed hash of the path without its query
}

// of is the key that a variant of the answer is kept under: the lowest bits of 128 that nobody can foresee.
func (k *CacheKey) of(v fallback.Variant) sharedstate.Fingerprint {
	key := k.key
	key.Lo ^= uint64(v)
	return key
}

func newCached(cluster string, f *policy.Fallback, w *Worker) *cached {
	return &cached{
		rules:   fallback.NewCacheRules(f.TTL, f.Staleness, f.CacheKeyHeaders),
		answers: cache.New(w.store, cluster, f.MaxEntries),
		maxBody: int(f.MaxBodyBytes),
		seed:    w.seed,
	}
}

// Caches says whether CacheKey is wanted for this plan's requests.
func (p *Plan) Caches() bool { return p.cached != nil }

// CacheKey reads what the cache has to know of a request, before the router takes its headers. Ended: no body follows.
func (p *Plan) CacheKey(headers Headers, ended bool) (k CacheKey) {
	c := p.cached
	k.Request = c.rules.Request(headers, ended)
	if !k.Lookup && !k.Store {
		return k
	}
	c.buf = c.rules.AppendKey(c.buf[:0], headers)
	k.key.Hi, k.key.Lo = siphash.Hash128(c.seed[0], c.seed[1], c.buf)
	path, _, _ := strings.Cut(header(headers, ":path"), "?")
	c.buf = append(c.buf[:0], path...)
	k.path = cache.PathHash(c.seed, c.buf)
	return k
}

// kept is an answer that may stand in for upstream's.
type kept struct {
	entry  cache.Entry
	served fallback.Served
}

// storedHeaders are an entry's as the rules read them.
type storedHeaders struct{ *cache.Entry }

func (h storedHeaders) All(yield func(name, value string) bool) { h.Headers(yield) }

// find looks for what the cache may answer a request with: of several the youngest.
func (x *Exchange) find(now int64) (best kept, found fallback.Source) {
	found = fallback.FromError
	c := x.plan.cached
	k := &x.request.Cache
	for _, variant := range k.Variants() {
		entry, ok, err := c.answers.Get(k.of(variant))
		if err != nil {
			x.plan.observer.Fault(err)
			continue
		}
		if !ok || !k.Accepts(storedHeaders{&entry}) {
			continue
		}
		age := int64(entry.Age)*int64(time.Second) + now - entry.Stored
		served := c.rules.Serve(age, entry.Lifetime, entry.StaleIfError)
		if served.Source != fallback.FromError && (found == fallback.FromError || served.Age < best.served.Age) {
			best, found = kept{entry, served}, served.Source
		}
	}
	return best, found
}

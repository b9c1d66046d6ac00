// Package fallbackcache keeps upstream's good responses while they stream to the client, and finds one that may replace
// the response when upstream fails. The HTTP rules are policy/fallback's, the store is sharedstate/cache.
//
//	request headers ──► Key ─┬─ upstream fails ──► Find ──► a kept response, fresh or stale
//	                         └─ upstream's 200 ──► Begin ──► Capture.Add … ──► Keep ──► sharedstate/cache
package fallbackcache

import (
	"cmp"
	"strings"
	"time"

	"github.com/dchest/siphash"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/cache"
)

// Cache is a cluster's fallback cache, for one worker.
type Cache struct {
	rules    *fallback.CacheRules
	stored   *cache.Cache
	captures *Captures
	maxBody  int
	seed     [2]uint64

	buf    []byte // for keys, and then for heads
	recent [recentKeys]recent
}

// recent is a key that this worker stored, and when, so that a hot key costs no host call for the next second. There is
// one for each remainder of the key, 4 KB in all.
type recent struct {
	key uint64
	at  int64
}

const recentKeys = 256

// askAgain is how long a key whose response was not to be kept, because of who asked, is left alone: to find that out costs
// up to six host calls, 60,000 instructions. Another client's response may be one that is kept.
const askAgain = int64(10 * time.Millisecond)

// New is the cache of a cluster with this section, for the worker that has captures. Seed is the process's.
func New(store sharedstate.Store, cluster string, f *policy.Fallback, seed [2]uint64, captures *Captures) *Cache {
	return &Cache{
		rules:    fallback.NewCacheRules(f.TTL, f.Staleness, f.CacheKeyHeaders, f.Shared),
		stored:   cache.New(store, cluster, f.MaxEntries),
		captures: captures,
		maxBody:  int(f.MaxBodyBytes),
		seed:     seed,
	}
}

// Surroundings are what a request's headers don't tell the cache. Each costs host calls, so they are asked only about a
// response that is to be kept just now, or a kept one that is found.
type Surroundings interface {
	// AppendRoute appends what distinguishes the routes of a cluster. Named: the route has a name, without which others may
	// be taken for it.
	AppendRoute(b []byte) (route []byte, named bool)
	// Identified reports whether something that is not in the headers may say who asks, such as a client certificate or
	// the metadata of an authentication filter.
	Identified() bool
}

// Key is what the cache needs to know of a request. The zero Key finds and keeps nothing.
type Key struct {
	fallback.Request
	key    sharedstate.Fingerprint // see withRoute
	path   uint64                  // PathHash of the request's path
	around Surroundings
	routed bool // the route is in the key
	named  bool // and has a name

	// Of a request with an unsafe method: what its response invalidates.
	authority, target string
}

// of is the key under which a variant of the response is kept. The variant changes the lowest bits of a keyed hash.
func (k *Key) of(v fallback.Variant) sharedstate.Fingerprint {
	key := k.key
	key.Lo ^= uint64(v)
	return key
}

// Key reads what the cache needs to know of a request, while its headers can be read. Ended: no body follows.
func (c *Cache) Key(headers header.Headers, ended bool, around Surroundings) (k Key) {
	if fallback.Unsafe(header.First(headers, ":method")) {
		k.authority = strings.Clone(header.First(headers, ":authority"))
		k.target = strings.Clone(fallback.PathOf(header.First(headers, ":path")))
		return k
	}
	k.Request = c.rules.Request(headers, ended)
	if !k.Lookup && !k.Store {
		return k
	}
	c.buf = c.rules.AppendKey(c.buf[:0])
	k.key.Hi, k.key.Lo = siphash.Hash128(c.seed[0], c.seed[1], c.buf)
	k.path = c.pathHash(fallback.PathOf(header.First(headers, ":path")))
	k.around = around
	return k
}

// withRoute adds the route to the lower half of a key, which a request has to do before it keeps or finds something. The
// upper half is of the headers alone: by it the cache says whether anything is kept at all.
func (c *Cache) withRoute(k *Key) {
	if k.routed {
		return
	}
	k.routed = true
	c.buf, k.named = k.around.AppendRoute(c.buf[:0])
	k.key.Lo ^= siphash.Hash(c.seed[0], c.seed[1], c.buf)
}

// toSharing is why a response may not be kept for others, or one kept by others not be used, as far as it depends on who asks
// and by which route. The route has to be in the key.
func (c *Cache) toSharing(k *Key, public bool) fallback.Obstacle {
	switch {
	case public:
	case k.PublicOnly:
		return fallback.UnlistedHeader
	case c.rules.Shared():
	case !k.named:
		return fallback.UnnamedRoute
	case k.around.Identified():
		return fallback.UnseenIdentity
	}
	return fallback.NoObstacle
}

// Kept is a kept response that may replace upstream's.
type Kept struct {
	Entry  cache.Entry
	Served fallback.Served
}

// storedHeaders are an entry's headers as header.Headers.
type storedHeaders struct{ *cache.Entry }

func (h storedHeaders) All(yield func(name, value string) bool) { h.Headers(yield) }

// Find looks up the kept responses that a request may get, and returns the youngest. Source is fallback.FromError if
// there is none, and then there is an obstacle.
func (c *Cache) Find(k *Key, now int64) (best Kept, source fallback.Source, why fallback.Obstacle, err error) {
	source, why = fallback.FromError, fallback.NothingKept
	if listed, err := c.stored.Listed(k.key); !listed || err != nil {
		return Kept{}, source, why, err
	}
	c.withRoute(k)
	for _, variant := range k.Variants() {
		entry, ok, failed := c.stored.Get(k.of(variant))
		if failed != nil {
			err = failed
			continue
		}
		if !ok {
			continue
		}
		headers := storedHeaders{&entry}
		if !k.Accepts(headers) {
			why = fallback.Coding
			continue
		}
		if obstacle := c.toSharing(k, fallback.IsPublic(headers)); obstacle != fallback.NoObstacle {
			why = obstacle
			continue
		}
		age := int64(entry.Age)*int64(time.Second) + now - entry.Stored
		served := c.rules.Serve(age, entry.Lifetime, entry.StaleIfError)
		if served.Source == fallback.FromError {
			why = fallback.TooOld
			continue
		}
		if source == fallback.FromError || served.Age < best.Served.Age {
			best, source = Kept{entry, served}, served.Source
		}
	}
	return best, source, why, err
}

// Response is what Begin needs to know of a response whose headers have come.
type Response struct {
	Status int
	Ended  bool  // no body follows
	Took   int64 // nanoseconds from the request to these headers
}

// Concerns reports whether Begin has a use for the headers of a response with this status.
func (k *Key) Concerns(status int) bool {
	if k.target != "" {
		return fallback.Invalidates(status)
	}
	return k.Store && (status/100 == 2 || status == 304 || fallback.Outdates(status))
}

// Begin copies the response with these headers, where it may be kept; nil where it may not, for which there is an obstacle, or
// need not. One that may not be kept removes an older one that is, where it takes its place; one to an unsafe method removes what it invalidates; a 304
// or one to HEAD may update one. Wall is seconds since 1970.
func (c *Cache) Begin(k *Key, r *Response, headers header.Headers, now, wall int64) (*Capture, fallback.Obstacle, error) {
	if k.target != "" {
		return nil, fallback.NoObstacle, c.invalidate(k, headers, now)
	}
	if r.Status == 304 {
		return nil, fallback.NoObstacle, c.freshen(k, r, headers, now, wall)
	}
	answer, why := c.rules.Answer(headers, r.Status, wall, r.Took)
	limit := c.maxBody
	if k.Head {
		limit, answer.Length = 0, -1
	}
	switch {
	case why != fallback.NoObstacle:
	case !r.Ended && !answer.Delimited:
		why = fallback.UnknownLength
	case answer.Length > int64(limit):
		why = fallback.TooLarge
	}
	if why != fallback.NoObstacle {
		if fallback.Outdates(r.Status) {
			return nil, why, c.Outdate(k, now)
		}
		return nil, why, nil
	}
	if !c.due(k, now) {
		return nil, fallback.NoObstacle, nil
	}
	if k.PublicOnly && !answer.Public { // the route need not be read
		return nil, fallback.UnlistedHeader, nil
	}
	c.withRoute(k)
	if why = c.toSharing(k, answer.Public); why != fallback.NoObstacle {
		asked := recent{k.kind(), now}
		if why != fallback.UnnamedRoute { // the next request with these headers goes by the same route, nearly always
			asked.at -= cache.RefreshEvery - askAgain
		}
		*c.recently(k) = asked
		return nil, why, nil
	}
	if k.Head {
		if updated, err := c.updateByHead(k, r, &answer, contentLength(headers), headers, now, wall); updated || err != nil {
			return nil, fallback.NoObstacle, err
		}
	}
	key := k.of(k.Variant(&answer))
	if due, err := c.stored.Due(key, now); err != nil || !due { // another worker has just kept it
		*c.recently(k) = recent{k.kind(), now}
		return nil, fallback.NoObstacle, err
	}
	meta := cache.Meta{
		Key: key, Path: k.path, Stored: now, Status: uint16(r.Status),
		Age: answer.Age, Lifetime: answer.Lifetime, StaleIfError: answer.StaleIfError,
	}
	var ok bool
	if c.buf, ok = cache.AppendHead(c.buf[:0], &meta, fallback.Kept(headers).All); !ok {
		return nil, fallback.TooLarge, nil
	}
	copied := c.captures.start(c.buf, limit, answer.Length, now)
	if copied == nil {
		return nil, fallback.NoRoom, nil
	}
	return copied, fallback.NoObstacle, nil
}

// Keep stores the copy of a response that has ended, and drops the copy. Sent is when its request was sent.
func (c *Cache) Keep(k *Key, copied *Capture, sent, now int64) (why fallback.Obstacle, conflicts int, err error) {
	if !copied.whole() {
		why = copied.Obstacle()
		copied.Drop(why)
		return why, 0, nil
	}
	stored, conflicts, err := c.stored.Put(copied.buf, sent, now)
	*c.recently(k) = recent{k.kind(), now}
	if !stored {
		why = fallback.Superseded
	}
	copied.Drop(why)
	return why, conflicts, err
}

// Outdate drops what is kept under a request's key, in all its variants, because a later response takes its place. A response
// that may be for one client alone drops nothing.
func (c *Cache) Outdate(k *Key, now int64) error {
	if k.PublicOnly {
		return nil
	}
	if listed, err := c.stored.Listed(k.key); !listed || err != nil || !c.rules.Shared() && k.around.Identified() {
		return err
	}
	return c.remove(k, now)
}

// remove drops what is kept under a request's key, in all its variants.
func (c *Cache) remove(k *Key, now int64) error {
	c.withRoute(k)
	var keys [fallback.Variants]sharedstate.Fingerprint
	for v := range keys {
		keys[v] = k.of(fallback.Variant(v))
	}
	dropped, err := c.stored.Remove(keys[:], now)
	if dropped {
		clear(c.recent[:]) // the next response is due in all its variants
	}
	*c.recently(k) = recent{}
	return err
}

// invalidate drops what is kept of the target of an unsafe request, and of Location and Content-Location where they are of
// the same host (RFC 9111, section 4.4). Entries are found by their path: those of all queries and hosts of this cluster go.
func (c *Cache) invalidate(k *Key, headers header.Headers, now int64) error {
	err := c.removePath(k.target, now)
	headers.All(func(name, value string) bool {
		if name == "location" || name == "content-location" {
			target, ok := fallback.InvalidatedPath(k.authority, k.target, value)
			if ok && target != k.target {
				err = cmp.Or(err, c.removePath(target, now))
			}
		}
		return true
	})
	return err
}

// Invalidate is for the response to an unsafe request of which the status alone is known: it drops what is kept of its target.
func (c *Cache) Invalidate(k *Key, status int, now int64) error {
	if k.target == "" || !fallback.Invalidates(status) {
		return nil
	}
	return c.removePath(k.target, now)
}

func (c *Cache) removePath(path string, now int64) error {
	dropped, err := c.stored.RemovePath(c.pathHash(path), now)
	if dropped {
		clear(c.recent[:])
	}
	return err
}

func (c *Cache) pathHash(path string) uint64 {
	c.buf = append(c.buf[:0], path...)
	return cache.PathHash(c.seed, c.buf)
}

// due reports whether this worker has not stored the key within the last second.
func (c *Cache) due(k *Key, now int64) bool {
	r := c.recently(k)
	return r.key != k.kind() || now-r.at >= cache.RefreshEvery
}

// kind distinguishes requests for one key that may get different forms of its response. Routes of one key are not told apart:
// of two that alternate, the one whose response comes first after a second is kept.
func (k *Key) kind() uint64 {
	kind := k.key.Hi ^ uint64(k.Codings)<<1
	if k.Head {
		kind ^= 1
	}
	return kind
}

func (c *Cache) recently(k *Key) *recent { return &c.recent[k.kind()%recentKeys] }

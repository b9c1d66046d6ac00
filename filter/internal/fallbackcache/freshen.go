package fallbackcache

import (
	"math"

	"github.com/weir-mesh/weir/policy/decimal"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/sharedstate/cache"
)

// freshen updates the kept response that a 304 confirms (RFC 9111, section 4.3.4): the one with the same entity tag, or
// with the same last-modified where the 304 has no tag. A 304 without either confirms none.
func (c *Cache) freshen(k *Key, r *Response, headers header.Headers, now, wall int64) error {
	if listed, err := c.stored.Listed(k.key); !listed || err != nil || !c.due(k, now) {
		return err
	}
	c.withRoute(k)
	for _, variant := range k.Variants() {
		entry, ok, err := c.stored.Get(k.of(variant))
		if err != nil {
			return err
		}
		if ok && fallback.Confirms(headers, storedHeaders{&entry}) {
			return c.update(k, r, &entry, headers, now, wall)
		}
	}
	return nil
}

// updateByHead updates the kept response to GET by one to HEAD that may be kept, where it says that nothing has changed, and
// else removes it (RFC 9111, section 4.3.5). There need be none. Length is the response's content-length, -1: none.
func (c *Cache) updateByHead(k *Key, r *Response, answer *fallback.Answer, length int64, headers header.Headers, now, wall int64) (updated bool, err error) {
	get := k.Request
	get.Head = false
	entry, ok, err := c.stored.Get(k.of(get.Variant(answer)))
	if !ok || err != nil {
		return false, err
	}
	if length >= 0 && length != int64(len(entry.Body)) || !fallback.SameValidators(headers, storedHeaders{&entry}) {
		return false, c.remove(k, now)
	}
	return true, c.update(k, r, &entry, headers, now, wall)
}

// update stores a kept response again, with the headers of a later one that confirms it. If they say that it may not be
// kept any more, it is removed.
func (c *Cache) update(k *Key, r *Response, entry *cache.Entry, newer header.Headers, now, wall int64) error {
	headers := fallback.Updated(newer, storedHeaders{entry})
	answer, why := c.rules.Answer(headers, int(entry.Status), wall, r.Took)
	if why != fallback.NoObstacle {
		return c.Outdate(k, now)
	}
	if c.toSharing(k, answer.Public) != fallback.NoObstacle {
		return nil
	}
	meta := entry.Meta
	meta.Stored, meta.Age, meta.Lifetime, meta.StaleIfError = now, answer.Age, answer.Lifetime, answer.StaleIfError
	updated, ok := cache.AppendHead(make([]byte, 0, len(entry.Body)+1024), &meta, fallback.Kept(headers).All)
	if !ok {
		return nil
	}
	_, _, err := c.stored.Replace(append(updated, entry.Body...), entry.Stored, now-r.Took, now)
	*c.recently(k) = recent{k.kind(), now}
	return err
}

// contentLength is a response's content-length, -1 where it has none.
func contentLength(headers header.Headers) int64 {
	n, ok := decimal.Whole(header.First(headers, "content-length"))
	if !ok || n > math.MaxInt64 {
		return -1
	}
	return int64(n)
}

package flow

import (
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate/cache"
)

// Keeps says whether Keep has a use for the headers of the answer that was let pass just now.
func (x *Exchange) Keeps() bool { return x.keeps }

// Keep begins to copy the answer whose headers these are, where it may be kept. Ended: no body follows. Now is of the
// machine's monotonic clock, wall is seconds since 1970.
func (x *Exchange) Keep(headers Headers, ended bool, now, wall int64) {
	if !x.keeps {
		return
	}
	x.keeps = false
	c, k := x.plan.cached, &x.request.Cache
	answer, ok := c.rules.Answer(headers, x.ending.status, wall, x.took)
	if !ok || (!ended && !answer.Delimited) {
		return
	}
	key := k.of(k.Variant(&answer))
	if due, err := c.answers.Due(key, now); err != nil || !due { // another worker has just kept it
		if err != nil {
			x.plan.observer.Fault(err)
		}
		*c.recently(k) = recent{k.kind(), now}
		return
	}
	limit := c.maxBody
	if k.Head {
		limit, answer.Length = 0, -1
	}
	meta := cache.Meta{
		Key: key, Path: k.path, Stored: now, Status: uint16(x.ending.status),
		Age: answer.Age, Lifetime: answer.Lifetime, StaleIfError: answer.StaleIfError,
	}
	if c.buf, ok = cache.AppendHead(c.buf[:0], &meta, fallback.Kept(headers).All); !ok {
		return
	}
	x.copy = x.plan.worker.copies.start(c.buf, limit, answer.Length, now)
	if ended {
		x.keep(now)
	}
}

// Copying says whether Body has a use for the answer's body.
func (x *Exchange) Copying() bool { return x.copy != nil }

// Body takes the next piece of the answer's body.
func (x *Exchange) Body(piece []byte) {
	if x.copy == nil {
		return
	}
	x.plan.worker.copies.add(x.copy, piece)
	if x.copy.buf == nil {
		x.copy = nil
	}
}

// Discard says that the answer can't be kept: it has trailers, or its body can't be read.
func (x *Exchange) Discard() {
	if x.copy != nil {
		x.plan.worker.copies.drop(x.copy)
		x.copy = nil
	}
}

// keep stores the copy of an answer that has ended.
func (x *Exchange) keep(now int64) {
	if x.copy == nil {
		return
	}
	c, k := x.plan.cached, &x.request.Cache
	if x.copy.whole() {
		_, conflicts, err := c.answers.Put(x.copy.buf, x.begun, now)
		x.plan.observer.Conflicts(conflicts)
		if err != nil {
			x.plan.observer.Fault(err)
		}
		*c.recently(k) = recent{k.kind(), now}
	}
	x.Discard()
}

// due says whether this worker has not stored the key within the last second.
func (c *cached) due(k *CacheKey, now int64) bool {
	r := c.recently(k)
	return r.key != k.kind() || now-r.at >= cache.RefreshEvery
}

// kind tells the requests to one key apart that may get different forms of its answer.
func (k *CacheKey) kind() uint64 {
	kind := k.key.Lo ^ uint64(k.Codings)<<1
	if k.Head {
		kind ^= 1
	}
	return kind
}

func (c *cached) recently(k *CacheKey) *recent { return &c.recent[k.kind()%recentKeys] }

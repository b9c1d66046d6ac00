package request

import (
	"github.com/weir-mesh/weir/filter/internal/fallbackcache"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
)

// UsesCache reports whether the request may be answered from the cache, or its response may be kept.
func (r *Request) UsesCache() bool { return r.in.Cache.Lookup || r.in.Cache.Store }

// MayKeep reports whether Keep needs the headers of the response that was let through just now.
func (r *Request) MayKeep() bool { return r.mayKeep }

// Keep begins to copy the response with these headers, if it may be kept, and removes what it outdates. Ended: no body
// follows. Now is the time of the monotonic clock in nanoseconds, wall is seconds since 1970.
func (r *Request) Keep(headers header.Headers, ended bool, now, wall int64) {
	if !r.mayKeep {
		return
	}
	r.mayKeep = false
	c := r.home
	response := fallbackcache.Response{Status: r.ending.Status, Ended: ended, Took: r.took}
	var why fallback.Obstacle
	var err error
	if r.capture, why, err = c.cache.Begin(&r.in.Cache, &response, headers, now, wall); err != nil {
		c.observer.Fault(err)
	}
	r.notKept(why)
	if ended {
		r.keep(now)
	}
}

// Capturing reports whether Body needs the response's body.
func (r *Request) Capturing() bool { return r.capture != nil }

// Body takes the next piece of the response's body.
func (r *Request) Body(piece []byte) {
	if r.capture == nil || r.capture.Add(piece) {
		return
	}
	why := r.capture.Obstacle()
	if why == fallback.TooLarge {
		if err := r.home.cache.Outdate(&r.in.Cache, r.sent+r.took); err != nil {
			r.home.observer.Fault(err)
		}
	}
	r.capture = nil
	r.notKept(why)
}

// Discard drops the copy of a response that can't be kept.
func (r *Request) Discard(why fallback.Obstacle) { r.dropCapture(why) }

// keep stores the copy of a response that has ended.
func (r *Request) keep(now int64) {
	if r.capture == nil {
		return
	}
	c := r.home
	why, conflicts, err := c.cache.Keep(&r.in.Cache, r.capture, r.sent, now)
	r.capture = nil
	r.notKept(why)
	c.observer.Conflicts(conflicts)
	if err != nil {
		c.observer.Fault(err)
	}
}

func (r *Request) dropCapture(why fallback.Obstacle) {
	if r.capture != nil {
		r.capture.Drop(why)
		r.capture = nil
		r.notKept(why)
	}
}

// consider notes whether Keep needs the headers of a response of upstream's that passes, and counts one that is not kept
// whatever its headers say.
func (r *Request) consider(status int, inner bool) {
	k := &r.in.Cache
	if r.home.shadow {
		return
	}
	if r.mayKeep = !inner && k.Concerns(status); r.mayKeep || status/100 != 2 {
		return
	}
	switch {
	case !k.Store:
		r.notKept(k.ToKeeping())
	case inner:
		r.notKept(fallback.InnerWeir)
	}
}

// notKept counts a response that is not kept.
func (r *Request) notKept(why fallback.Obstacle) {
	if why != fallback.NoObstacle {
		r.home.observer.NotKept(why)
	}
}

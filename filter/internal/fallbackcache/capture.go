package fallbackcache

import (
	"time"

	"github.com/weir-mesh/weir/filter/internal/bufpool"
	"github.com/weir-mesh/weir/policy/fallback"
)

// A response that may be kept is copied while it streams to the client. The bytes that a worker copies at one time have
// a bound: a response for which there is no room is not kept, and the next response to the same request may be.
const (
	maxCapturing  = 4 << 20          // bytes of all the copies that one worker makes at one time
	maxSpare      = 1 << 20          // bytes of buffers that it keeps for reuse
	minBuffer     = 4 << 10          // the smallest buffer
	captureExpiry = 60 * time.Second // a response that streams for longer is not kept
)

// Captures are the copies that a worker is making.
type Captures struct {
	pool    bufpool.Pool
	running []*Capture
}

// NewCaptures is the captures of a new worker.
func NewCaptures() *Captures {
	return &Captures{pool: bufpool.Pool{MaxLent: maxCapturing, MaxSpare: maxSpare, Smallest: minBuffer}}
}

// Capture is the copy of one response, up to the bytes that have come.
type Capture struct {
	from     *Captures
	buf      []byte // nil: the copy was dropped
	head     int    // bytes before the body
	limit    int    // the longest body that is kept
	declared int64  // content-length, -1: none
	began    int64
	dropped  fallback.Obstacle // where buf is nil: why
}

// start begins a copy with an entry's head; nil if there is no room.
func (cs *Captures) start(head []byte, limit int, declared, now int64) *Capture {
	if declared > int64(limit) {
		return nil
	}
	buf := cs.pool.Get(len(head) + int(max(declared, 0)))
	if buf == nil {
		return nil
	}
	c := &Capture{from: cs, buf: append(buf, head...), head: len(head), limit: limit, declared: declared, began: now}
	cs.running = append(cs.running, c)
	return c
}

// Add appends a piece of the body. It drops a copy that becomes too long, or for which there is no room, and then
// returns false.
func (c *Capture) Add(piece []byte) bool {
	if c.buf == nil {
		return false
	}
	n := len(c.buf) + len(piece)
	if n-c.head > c.limit {
		c.Drop(fallback.TooLarge)
		return false
	}
	larger := c.from.pool.Grow(c.buf, n)
	if larger == nil {
		c.Drop(fallback.NoRoom)
		return false
	}
	c.buf = append(larger, piece...)
	return true
}

// Obstacle is why a copy that was dropped, or has ended too early, is not kept.
func (c *Capture) Obstacle() fallback.Obstacle {
	if c.buf != nil {
		return fallback.CutOff
	}
	return c.dropped
}

// whole reports whether all of the response that was announced is there.
func (c *Capture) whole() bool {
	return c.buf != nil && (c.declared < 0 || c.declared == int64(len(c.buf)-c.head))
}

// Drop ends a copy and returns its buffer to the pool. A second Drop does nothing.
func (c *Capture) Drop(why fallback.Obstacle) {
	if c.buf == nil {
		return
	}
	running := c.from.running
	for i, other := range running {
		if other == c {
			last := len(running) - 1
			running[i], running[last] = running[last], nil
			c.from.running = running[:last]
			break
		}
	}
	c.from.pool.Put(c.buf)
	c.buf, c.dropped = nil, why
}

// Expire drops the copies that began more than captureExpiry ago.
func (cs *Captures) Expire(now int64) {
	for i := len(cs.running) - 1; i >= 0; i-- {
		if now-cs.running[i].began > int64(captureExpiry) {
			cs.running[i].Drop(fallback.TooSlow)
		}
	}
}

package flow

import (
	"math/bits"
	"time"
)

// An answer that may be kept is copied while it streams to the client. What a worker copies at one time has a bound: an
// answer that finds no room is not kept, and the next one to the same request will be.
const (
	maxCopying = 4 << 20          // bytes of all the copies that one worker makes at one time
	maxSpare   = 1 << 20          // bytes of buffers that it keeps for the next ones
	minCopy    = 4 << 10          // the smallest buffer; each next size is twice as large
	copyExpiry = 60 * time.Second // an answer that streams for longer is not kept
)

// answerCopy is an answer as far as it has come. Its buffer is nil once it is given up.
type answerCopy struct {
	buf      []byte
	head     int   // bytes before the body
	limit    int   // the longest body that is kept
	declared int64 // content-length, -1 where there is none
	began    int64
}

// copies are what a worker copies at the moment.
type copies struct {
	running []*answerCopy
	bytes   int // of their buffers
	spare   [][]byte
	kept    int // bytes of the spare ones
}

// start begins a copy with what comes before its body; nil where there is no room.
func (p *copies) start(head []byte, limit int, declared, now int64) *answerCopy {
	if declared > int64(limit) {
		return nil
	}
	buf := p.buffer(len(head) + int(max(declared, 0)))
	if buf == nil {
		return nil
	}
	c := &answerCopy{buf: append(buf, head...), head: len(head), limit: limit, declared: declared, began: now}
	p.running = append(p.running, c)
	return c
}

// add appends a piece of the body. A copy that becomes too long is given up.
func (p *copies) add(c *answerCopy, piece []byte) {
	if c.buf == nil {
		return
	}
	n := len(c.buf) + len(piece)
	if n-c.head > c.limit {
		p.drop(c)
		return
	}
	if n > cap(c.buf) {
		larger := p.buffer(n)
		if larger == nil {
			p.drop(c)
			return
		}
		larger = append(larger, c.buf...)
		p.giveBack(c.buf)
		c.buf = larger
	}
	c.buf = append(c.buf, piece...)
}

// whole says whether all of the answer that was announced is there.
func (c *answerCopy) whole() bool {
	return c.buf != nil && (c.declared < 0 || c.declared == int64(len(c.buf)-c.head))
}

// drop ends a copy; its buffer is free again.
func (p *copies) drop(c *answerCopy) {
	if c.buf == nil {
		return
	}
	for i, other := range p.running {
		if other == c {
			last := len(p.running) - 1
			p.running[i], p.running[last] = p.running[last], nil
			p.running = p.running[:last]
			break
		}
	}
	p.giveBack(c.buf)
	c.buf = nil
}

// expire drops the copies of answers that take too long, or of which no callback tells any more.
func (p *copies) expire(now int64) {
	for i := len(p.running) - 1; i >= 0; i-- {
		if now-p.running[i].began > int64(copyExpiry) {
			p.drop(p.running[i])
		}
	}
}

// buffer finds room for n bytes, nil where the bound is reached.
func (p *copies) buffer(n int) []byte {
	size := 1 << bits.Len(uint(max(n, minCopy)-1))
	if p.bytes+size > maxCopying {
		return nil
	}
	p.bytes += size
	for i, b := range p.spare {
		if cap(b) == size {
			last := len(p.spare) - 1
			p.spare[i], p.spare[last] = p.spare[last], nil
			p.spare = p.spare[:last]
			p.kept -= size
			return b
		}
	}
	return make([]byte, 0, size)
}

func (p *copies) giveBack(b []byte) {
	p.bytes -= cap(b)
	if p.kept+cap(b) <= maxSpare {
		p.kept += cap(b)
		p.spare = append(p.spare, b[:0])
	}
}

// Package bufpool lends byte buffers of a few sizes, up to a bound, and keeps some returned buffers for reuse. A Wasm
// module's memory never shrinks, so the bytes that a worker copies at one time need a bound. A buffer that is used
// again leaves no garbage.
//
//	sizes: Smallest, 2 x Smallest, 4 x …      lent <= MaxLent bytes │ spare <= MaxSpare bytes
package bufpool

import "math/bits"

// Pool lends buffers. One goroutine uses it at a time.
type Pool struct {
	MaxLent  int // bytes lent at one time
	MaxSpare int // bytes kept for the next buffers
	Smallest int // bytes of the smallest buffer

	lent  int
	spare [][]byte
	kept  int // bytes of spare
}

// Lent is how many bytes are lent at the moment.
func (p *Pool) Lent() int { return p.lent }

// Get lends an empty buffer with room for n bytes, nil if that would be more than MaxLent.
func (p *Pool) Get(n int) []byte {
	size := 1 << bits.Len(uint(max(n, p.Smallest)-1))
	if p.lent+size > p.MaxLent {
		return nil
	}
	p.lent += size
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

// Grow returns a buffer with the bytes of b and room for n, and takes b back. It returns nil if there is no room; b is
// still lent then.
func (p *Pool) Grow(b []byte, n int) []byte {
	if n <= cap(b) {
		return b
	}
	larger := p.Get(n)
	if larger == nil {
		return nil
	}
	larger = append(larger, b...)
	p.Put(b)
	return larger
}

// Put takes a buffer back that Get or Grow lent.
func (p *Pool) Put(b []byte) {
	p.lent -= cap(b)
	if p.kept+cap(b) <= p.MaxSpare {
		p.kept += cap(b)
		p.spare = append(p.spare, b[:0])
	}
}

package simulation

import (
	"math"

	"github.com/weir-mesh/weir/policy/ratelimit"
)

// ideal is one limiter that sees all requests of the mesh at once: what is admitted at best.
type ideal interface {
	take(now int64) bool
}

// exactWindow admits limit requests in each window, to the nanosecond.
type exactWindow struct {
	window int64
	last   []int64 // the times of the last ones, as many as the limit has, in a ring
	next   int
}

func newExactWindow(limit, window int64) *exactWindow {
	w := &exactWindow{window: window, last: make([]int64, limit)}
	for i := range w.last {
		w.last[i] = math.MinInt64 / 2
	}
	return w
}

func (w *exactWindow) take(now int64) bool {
	if now-w.last[w.next] < w.window {
		return false
	}
	w.last[w.next] = now
	w.next = (w.next + 1) % len(w.last)
	return true
}

// exactBucket admits burst + rate x T in any time T.
type exactBucket struct {
	burst, rate, level float64
	last               int64
}

func (b *exactBucket) take(now int64) bool {
	b.level = min(b.level+b.rate*float64(now-b.last)/float64(second), b.burst)
	b.last = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}

// pure is a limiter of policy/ratelimit, for an adaptive limit, whose outcomes are drawn as the mesh's are.
type pure struct {
	limiter *ratelimit.Limiter
	state   []byte
	mesh    *mesh
}

func newPure(m *mesh, l *ratelimit.Limiter) *pure {
	p := &pure{limiter: l, state: make([]byte, l.Size()), mesh: m}
	l.Reset(p.state)
	return p
}

func (p *pure) take(now int64) bool {
	if !p.limiter.Take(p.state, now+1, 1).Admitted {
		return false
	}
	success := p.mesh.dice.Float64() < p.mesh.healthy(now)
	p.mesh.clock.after(upstream, func() { p.limiter.Outcome(p.state, success, p.mesh.clock.now+1) })
	return true
}

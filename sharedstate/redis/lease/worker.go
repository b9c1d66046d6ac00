package lease

import (
	"math/bits"
	"time"
)

// Worker is what the holders of one worker have in common: its names, the numbers of its calls, and the gate to Redis.
type Worker struct {
	holder, proxy string
	timeout       int64
	last          int64 // number of the last call. The first is any: Webdis 0.1.9 was seen to give a reply to another caller
	random        uint64
	gate          Gate
}

// NewWorker names a worker. holder must never have been another's name and never be used again: after a crash the worker
// is another one. proxy is the name that all workers of a proxy have in common. timeout is that of a call to Redis. seed is
// any random number.
func NewWorker(holder, proxy string, timeout time.Duration, seed uint64) *Worker {
	w := &Worker{holder: holder, proxy: proxy, timeout: max(int64(timeout), int64(time.Millisecond)), random: seed}
	w.last = w.below(1 << 52) // and 2^52 more fit into what Lua holds exactly
	return w
}

// Gate says whether Redis is called.
func (w *Worker) Gate() *Gate { return &w.gate }

// number is a new call's.
func (w *Worker) number() int64 {
	w.last++
	return w.last
}

// below is a random number in [0, n), by SplitMix64 (Steele, Lea, Flood, 2014).
func (w *Worker) below(n int64) int64 {
	w.random += 0x9e3779b97f4a7c15
	z := w.random
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	high, _ := bits.Mul64(z^z>>31, uint64(max(n, 1)))
	return int64(high)
}

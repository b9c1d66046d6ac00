package lease

import (
	"math/bits"
	"time"
)

// Worker is what the holders of one worker share: its names, the numbers of its calls, and the circuit breaker.
type Worker struct {
	holder, proxy string
	timeout       int64
	last          int64 // number of the last call
	random        uint64
	breaker       breaker
}

// NewWorker names a worker. No worker before or after it may have the name holder: after a crash the worker is another
// one. All workers of a proxy share the name proxy. timeout is that of a call to Redis, at least 1 ms. seed is any random
// number.
func NewWorker(holder, proxy string, timeout time.Duration, seed uint64) *Worker {
	w := &Worker{holder: holder, proxy: proxy, timeout: max(int64(timeout), int64(time.Millisecond)), random: seed}
	// The first number is random, since Webdis 0.1.9 was seen to give a reply to another caller. 2^52 more numbers fit
	// into what Lua holds exactly.
	w.last = w.below(1 << 52)
	return w
}

// nextNumber is the number of a new call.
func (w *Worker) nextNumber() int64 {
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

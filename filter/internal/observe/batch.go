package observe

import (
	"time"

	"github.com/weir-mesh/weir/filter/internal/host"
)

// Two host calls for each request, one to count the decision and one the response, would cost 0.2 to 0.8 us (by the
// machine). So a worker passes the first countsAtOnce counts after a tick on to Envoy at once, and the others of that time
// together with the next tick, which then comes after CountsDelay. Otherwise ticks come once a second: whoever sends a few
// requests finds them counted, and under load counts are at most a quarter of a second old. A VM that crashes loses what
// it had not passed on yet.
const (
	countsAtOnce = 32
	CountsDelay  = 250 * time.Millisecond
)

// BatchedCounter is one of Envoy's counters, of which one worker counts in batches.
type BatchedCounter struct {
	counter host.Counter
	pending uint64 // not passed on yet
}

// NewBatchedCounter counts in batches for a counter.
func NewBatchedCounter(c host.Counter) *BatchedCounter { return &BatchedCounter{counter: c} }

// Batch is a VM's batched counts: what one plugin counted, the next one's tick passes on when the first is gone.
type Batch struct {
	atOnce  int // counts since the last Flush that were passed on at once
	pending []*BatchedCounter
}

// Add counts one more. It reports whether this is the first count that waits for the next Flush.
func (b *Batch) Add(c *BatchedCounter) (first bool) {
	if b.atOnce < countsAtOnce {
		b.atOnce++
		c.counter.Add(1)
		return false
	}
	c.pending++
	if c.pending > 1 {
		return false
	}
	b.pending = append(b.pending, c)
	return len(b.pending) == 1
}

// Flush passes everything on, and reports whether that was anything.
func (b *Batch) Flush() (anything bool) {
	for i, c := range b.pending {
		c.counter.Add(c.pending)
		c.pending, b.pending[i] = 0, nil
	}
	anything = len(b.pending) > 0
	b.pending, b.atOnce = b.pending[:0], 0
	return anything
}

package breaker

import "math"

const (
	// tenths is the number of buckets in the length of a window.
	tenths = 10
	// Buckets is the number of buckets of a Window: those of its length, and the newest, which is still filling.
	Buckets = tenths + 1
	// WindowSize is the size of a packed Window in bytes.
	WindowSize = 16 + 8*Buckets
)

// Window counts the recent calls. The zero Window is a fresh one, without calls.
type Window struct {
	Width   int64           // of a bucket, nanoseconds; 0 while fresh; less than 2^56, which is two years
	Start   int64           // when the newest bucket began: a multiple of Width, 0 or later
	Buckets [Buckets]Bucket // the bucket that began at time T is the one at T/Width modulo Buckets
	Used    uint8           // among several windows: when a plugin with this length last counted a call, see stamp
}

// Bucket counts the calls that ended within one width. A count stays at its largest and does not wrap around.
type Bucket struct {
	Calls uint32
	Bad   uint32 // of the calls: failed, or slow; never more than Calls
}

// width is a tenth of the window, rounded up so that no call counts for less than the window.
func (r *Rate) width() int64 {
	return max((int64(r.Window)+tenths-1)/tenths, 1)
}

// add counts one call that ended at time now.
func (w *Window) add(width int64, bad bool, now int64) {
	w.advance(width, now)
	b := &w.Buckets[w.index(w.Start)]
	if b.Calls == math.MaxUint32 {
		return
	}
	b.Calls++
	if bad {
		b.Bad++
	}
}

// advance makes the bucket of time now the newest, and empties those in between. A time before the newest bucket is
// that of a worker that read the clock earlier: its call counts in the newest. What was counted by another
// clock is dropped.
func (w *Window) advance(width, now int64) {
	start := max(now-now%width, 0)
	switch {
	case w.Width != width, w.Start-now > int64(skew), start-w.Start >= Buckets*width:
		*w = Window{Width: width, Start: start, Used: w.Used}
	default:
		for w.Start < start {
			w.Start += width
			w.Buckets[w.index(w.Start)] = Bucket{}
		}
	}
}

// index is that of the bucket that began at this time.
func (w *Window) index(start int64) int { return int(uint64(start/w.Width) % Buckets) }

// sum is all calls of the window, at the time of the last call.
func (w *Window) sum() (calls, bad uint64) {
	for i := range w.Buckets {
		calls += uint64(w.Buckets[i].Calls)
		bad += uint64(w.Buckets[i].Bad)
	}
	return calls, bad
}

// reaches reports whether the window's share of bad calls opens the breaker. It divides because 7 of 100 must reach
// 0.07: 7 / 100 is the same float as 0.07, but 0.07 x 100 is a little more than 7.
func (w *Window) reaches(r *Rate) bool {
	calls, bad := w.sum()
	return calls >= uint64(max(r.MinCalls, 1)) && float64(bad)/float64(calls) >= r.Threshold
}

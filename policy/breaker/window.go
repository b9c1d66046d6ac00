package breaker

import "math"

const (
	// tenths is the number of buckets that make up a window's length.
	tenths = 10
	// Buckets is the number of buckets of a Window: those of its length, and the one that is still filling.
	Buckets = tenths + 1
	// WindowSize is the size of a packed Window in bytes.
	WindowSize = 16 + 8*Buckets
)

// Window is the calls of the last while. The zero Window is a fresh one, without calls.
type Window struct {
	Width   int64           // of a bucket, nanoseconds; 0 while fresh
	Start   int64           // when the newest bucket began: a multiple of Width, 0 or later
	Buckets [Buckets]Bucket // the bucket that began at time T is the one at T/Width modulo Buckets
}

// Bucket is the calls that ended within one width. Its numbers stay at their largest rather than begin anew.
type Bucket struct {
	Calls uint32
	Bad   uint32 // of the calls: failed, or slow; never more than Calls
}

// width is a tenth of the window, rounded up so that no call counts for too short.
func (r *Rate) width() int64 {
	return max((int64(r.Window)+tenths-1)/tenths, 1)
}

// add counts one call that ended at time now.
func (w *Window) add(r *Rate, bad bool, now int64) {
	w.advance(r.width(), now)
	b := &w.Buckets[w.place(w.Start)]
	if b.Calls == math.MaxUint32 {
		return
	}
	b.Calls++
	if bad {
		b.Bad++
	}
}

// advance makes the bucket of time now the newest, and empties those that it passes. A reading from before the newest
// bucket is another worker's, who read the clock earlier: its call counts in the newest. What was counted by another
// policy's width or by another clock is forgotten.
func (w *Window) advance(width, now int64) {
	start := max(now-now%width, 0)
	switch {
	case w.Width != width, w.Start-now > int64(skew), start-w.Start >= Buckets*width:
		*w = Window{Width: width, Start: start}
	default:
		for w.Start < start {
			w.Start += width
			w.Buckets[w.place(w.Start)] = Bucket{}
		}
	}
}

// place is where the bucket that began at this time stands.
func (w *Window) place(start int64) int { return int(uint64(start/w.Width) % Buckets) }

// sum is all calls of the window, as of the last one that was added.
func (w *Window) sum() (calls, bad uint64) {
	for i := range w.Buckets {
		calls += uint64(w.Buckets[i].Calls)
		bad += uint64(w.Buckets[i].Bad)
	}
	return calls, bad
}

// reaches says whether the window's share of bad calls opens the breaker. The division is what makes 7 of 100 reach 0.07:
// both are the float nearest to the same number, which 0.07 x 100 is not.
func (w *Window) reaches(r *Rate) bool {
	calls, bad := w.sum()
	return calls >= uint64(max(r.MinCalls, 1)) && float64(bad)/float64(calls) >= r.Threshold
}

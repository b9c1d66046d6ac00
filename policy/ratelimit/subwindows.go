package ratelimit

import (
	"math"

	"github.com/weir-mesh/weir/policy/packed"
)

// subWindowCount is how many sub-windows can be live at one time: 64 make a window, and a window that does not start
// with one touches 65.
const subWindowCount = 65

// subWindows counts admissions by sub-windows of window / 64, rounded up to whole nanoseconds (which it is for whole
// milliseconds). Sub-window s is [s x width, (s+1) x width), its count is at place s mod 65.
//
//	    s     s+1                            s+64   s+65
//	────┼──●───┼──────┼── … ──┼──────┼──────┼──────┼──
//	       └─ counts until s+65 begins: for a window at least, for a window and a 64th at most
//
// used in a state is the sum at last. It is computed anew when another sub-window has begun, so that torn counts have
// no effect for longer than a window.
type subWindows struct {
	at    int // offset of the counts in a state
	width int64
}

func newSubWindows(at int, window int64) *subWindows {
	return &subWindows{at: at, width: ceilDiv(window, subWindowCount-1)}
}

func (w *subWindows) place(s int64) int { return w.at + int(uint64(s)%subWindowCount)*4 }

// live is the oldest and the newest sub-window that count at t, and whether t and last are in the same sub-window.
func (w *subWindows) live(state []byte, t int64) (oldest, newest int64, same bool) {
	s := t / w.width
	newest = packed.I64(state, atLast) / w.width
	return max(s-(subWindowCount-1), 0), newest, s == newest
}

func (w *subWindows) counted(state []byte, t int64) (used, oldest int64) {
	oldest, newest, same := w.live(state, t)
	if same {
		return packed.U32(state, atUsed), oldest
	}
	for s := oldest; s <= newest; s++ {
		used += packed.U32(state, w.place(s))
	}
	return used, oldest
}

func (w *subWindows) admit(state []byte, t, used, _, n int64) {
	s := t / w.width
	newest := packed.I64(state, atLast) / w.width
	for fresh := max(newest, s-subWindowCount) + 1; fresh <= s; fresh++ {
		packed.PutU32(state, w.place(fresh), 0)
	}
	packed.PutU32(state, w.place(s), min(packed.U32(state, w.place(s))+n, math.MaxUint32))
	packed.PutI64(state, atLast, t)
	packed.PutU32(state, atUsed, used+n)
}

func (w *subWindows) frees(state []byte, t, oldest, k int64) int64 {
	_, newest, _ := w.live(state, t)
	s := oldest
	for freed := packed.U32(state, w.place(s)); freed < k && s < newest; freed += packed.U32(state, w.place(s)) {
		s++
	}
	return (s + subWindowCount) * w.width
}

func (w *subWindows) empties(t int64) int64 { return (t/w.width + subWindowCount) * w.width }

func (w *subWindows) drop(state []byte, t, used, oldest, k int64) (int64, int64) {
	_, newest, _ := w.live(state, t)
	for s := oldest; s <= newest && k > 0; s++ {
		count := packed.U32(state, w.place(s))
		dropped := min(count, k)
		packed.PutU32(state, w.place(s), count-dropped)
		used -= dropped
		k -= dropped
	}
	return used, oldest
}

func (w *subWindows) uses(state []byte, known []use) []use {
	last := packed.I64(state, atLast)
	oldest, newest, _ := w.live(state, last)
	for s := oldest; s <= newest; s++ {
		if n := packed.U32(state, w.place(s)); n > 0 {
			known = append(known, use{at: min((s+1)*w.width-1, last), n: n})
		}
	}
	return known
}

func (w *subWindows) shared(state []byte) (place, until int64) {
	s := packed.I64(state, atLast) / w.width
	return s, (s + 1) * w.width
}

func (w *subWindows) giveBack(state []byte, s, n int64) (changed bool) {
	newest := packed.I64(state, atLast) / w.width
	if s > newest || s <= newest-subWindowCount { // its place is another one's
		return false
	}
	count := packed.U32(state, w.place(s))
	n = min(n, count, packed.U32(state, atUsed))
	packed.PutU32(state, w.place(s), count-n)
	packed.PutU32(state, atUsed, packed.U32(state, atUsed)-n)
	return n > 0
}

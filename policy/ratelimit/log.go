package ratelimit

import (
	"github.com/weir-mesh/weir/policy/packed"
)

// maxLog is the largest limit whose admissions are remembered one by one.
const maxLog = 512

// log is a ring of the times of admissions, as ticks in 32 bits.
//
// A tick is window / 2^30 rounded up to whole nanoseconds: 1 ns up to a window of one second, 56 ns at a minute, 81 us
// at a day. Admissions are rounded up to the next tick, so that each counts for a window and up to a tick longer, never
// less than a window.
//
// Ticks wrap around, so last is kept in full and an entry is read by its distance back from last. When an entry was
// stored, all in the ring were younger than a window, and last moves only when older ones are dropped: distances are at
// most 2^30 + 1, far from 2^32.
type log struct {
	at     int // offset of the ring in a state
	limit  int64
	window int64
	tick   int64
}

func newLog(at int, limit, window int64) *log {
	return &log{at: at, limit: limit, window: window, tick: ceilDiv(window, 1<<30)}
}

// distance is how many ticks before last the i-th oldest entry is.
func (g *log) distance(state []byte, lastTick, i int64) int64 {
	i += packed.U32(state, atOldest)
	if i >= g.limit {
		i -= g.limit
	}
	return int64(uint32(lastTick) - uint32(packed.U32(state, g.at+int(i)*4)))
}

// counted searches from the oldest entry in growing steps and then halves the last one: two reads if one entry has
// expired, eighteen if 512 have. In an ordered ring that finds the oldest live entry; in a torn one it ends with some
// count.
func (g *log) counted(state []byte, t int64) (used, expired int64) {
	count := packed.U32(state, atUsed)
	if count == 0 {
		return 0, 0
	}
	lastTick := ceilDiv(packed.I64(state, atLast), g.tick)
	// An entry has expired when its tick x g.tick + window <= t.
	over := lastTick - floorDiv(t-g.window, g.tick)
	if over <= 0 {
		return 0, count
	}
	// Entries before low have expired, the entry at high (if there is one) is live.
	low, high := int64(0), int64(0)
	for step := int64(1); high < count && g.distance(state, lastTick, high) >= over; step *= 2 {
		low = high + 1
		high += step
	}
	high = min(high, count)
	for low < high {
		middle := (low + high) / 2
		if g.distance(state, lastTick, middle) >= over {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return count - low, low
}

func (g *log) admit(state []byte, t, used, expired, n int64) {
	oldest := (packed.U32(state, atOldest) + expired) % g.limit
	tick := ceilDiv(t, g.tick)
	for i := range n {
		place := (oldest + used + i) % g.limit
		packed.PutU32(state, g.at+int(place)*4, tick)
	}
	packed.PutI64(state, atLast, t)
	packed.PutU32(state, atUsed, used+n)
	packed.PutU32(state, atOldest, oldest)
}

func (g *log) frees(state []byte, _, expired, k int64) int64 {
	lastTick := ceilDiv(packed.I64(state, atLast), g.tick)
	return (lastTick-g.distance(state, lastTick, expired+k-1))*g.tick + g.window
}

func (g *log) empties(t int64) int64 { return ceilDiv(t, g.tick)*g.tick + g.window }

func (g *log) drop(_ []byte, _, used, expired, k int64) (int64, int64) { return used - k, expired + k }

func (g *log) uses(state []byte, known []use) []use {
	last := packed.I64(state, atLast)
	lastTick := ceilDiv(last, g.tick)
	for i := range packed.U32(state, atUsed) {
		tick := lastTick - g.distance(state, lastTick, i)
		known = append(known, use{at: min(tick*g.tick, last), n: 1})
	}
	return known
}

// ceilDiv and floorDiv divide by a positive number.
func ceilDiv(a, b int64) int64 { return -floorDiv(-a, b) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func (*log) shared([]byte) (place, until int64) { return 0, 0 }

func (*log) giveBack([]byte, int64, int64) (changed bool) { return false }

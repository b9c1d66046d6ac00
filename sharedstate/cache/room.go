package cache

import (
	"cmp"
	"errors"
	"math"

	"github.com/weir-mesh/weir/sharedstate"
)

// A worker that grows a segment writes the ledger first and then its index. A worker that shrinks a segment writes its index
// first and then the ledger. So an index's room is never more than its row, even if a worker stops in between. Two rules
// ensure it where both happen at the same time:
//
//	grow    load the index ─── write the ledger, always ─── swap the index
//	shrink  load the ledger ── swap the index, always ───── swap the ledger
//
// If the growing worker writes the ledger after the shrinking one has loaded it, the swap of the latter mismatches. If it
// wrote the ledger before that, but has not swapped its index yet, it finds the index changed and starts over.

// makeRoom ensures that the entries of the own index, which is not swapped yet, take no more than its room, with the new
// entry w. It raises the segment's row. Where the sum of all rows would be more than the budget, the segment with the most
// room drops its least recently stored entries: another one, or this one.
func (c *Cache) makeRoom(segment int, w *way, now int64) (conflicts int, fits bool, err error) {
	if c.granules(c.own.bytes()) <= uint64(c.own.room) {
		return 0, true, nil
	}
	if c.granules(uint64(w.size)) > c.budget {
		return 0, false, nil
	}
	for tries := 0; tries < sharedstate.MaxSwaps; tries++ {
		cas, err := c.ledgerCell.Load()
		if err != nil {
			return conflicts, false, err
		}
		fits, takes, more, err := c.shareOut(uint16(segment), w.slot, now)
		conflicts += more
		need := c.granules(c.own.bytes())
		grows := fits && need > uint64(c.own.room)
		if err != nil || takes == 0 && !grows {
			return conflicts, fits, err
		}
		err = c.ledgerCell.Swap(cas)
		if err == nil {
			c.own.room = uint32(max(need, uint64(c.own.room)))
			return conflicts, fits, nil
		}
		if !errors.Is(err, sharedstate.ErrMismatch) {
			return conflicts, false, err
		}
		conflicts++
	}
	return conflicts, false, sharedstate.ErrContended
}

// shareOut changes the loaded ledger, so that the own segment has the room that its index needs. takes is how often it took
// room from other segments.
func (c *Cache) shareOut(segment, keep uint16, now int64) (fits bool, takes, conflicts int, err error) {
	for range sharedstate.MaxSwaps {
		need := c.granules(c.own.bytes())
		if need <= uint64(c.own.room) {
			return true, takes, conflicts, nil
		}
		has := uint64(c.ledger.room(c.name, segment))
		room := max(need, has) // not lowered, since another worker may be about to use it
		var giver int
		var left uint64
		if has == 0 && !c.ledger.fits(c.name) {
			giver = c.ledger.stalest() // it keeps nothing
		} else {
			total := c.ledger.total - has + room
			if total <= c.budget {
				return c.ledger.grow(c.name, segment, uint32(room), now), takes, conflicts, nil
			}
			giver = c.ledger.largest(c.name, segment)
			if len(c.own.ways) > 1 && (giver < 0 || room >= uint64(c.ledger.rows[giver].room)) {
				c.ownFreed = c.own.shrink(c.leave(room, total-c.budget), keep, c.ownFreed)
				continue
			}
			if giver >= 0 {
				left = c.leave(uint64(c.ledger.rows[giver].room), total-c.budget)
			}
		}
		if giver < 0 {
			return false, takes, conflicts, nil
		}
		room32, more, err := c.trim(c.ledger.rows[giver], left)
		conflicts += more
		if err != nil {
			return false, takes, conflicts, err
		}
		c.ledger.lower(giver, room32)
		takes++
	}
	return false, takes, conflicts, nil
}

// leave is what a segment keeps when it gives the excess, but at most half of its room at a time: then another segment may
// be the next to give.
func (c *Cache) leave(room, excess uint64) uint64 { return room - min(excess, c.granules((room+1)/2)) }

// granules rounds bytes up to a multiple of the unit.
func (c *Cache) granules(bytes uint64) uint64 { return (bytes + c.unit - 1) / c.unit * c.unit }

// trim drops a segment's least recently stored entries until all take at most bytes. It returns the room that the segment
// still has.
func (c *Cache) trim(r row, bytes uint64) (room uint32, conflicts int, err error) {
	cluster := string(r.cluster)
	c.otherCell.Move(IndexKey(cluster, int(r.segment)))
	conflicts, err = c.otherCell.Update(func() bool {
		c.otherFreed = c.other.shrink(bytes, noSlot, c.otherFreed[:0])
		c.other.room = uint32(c.granules(c.other.bytes()))
		return true
	})
	if err != nil {
		return 0, conflicts, err
	}
	return c.other.room, conflicts, c.empty(cluster, int(r.segment), c.otherFreed)
}

// settle empties the segments that the cluster had only under an earlier policy, with more entries. A worker does so once,
// before its first Put.
func (c *Cache) settle() (conflicts int, err error) {
	conflicts, err = c.giveBack(func(r *row) (bytes uint64, concerned bool) { return 0, int(r.segment) >= c.segments })
	c.settled = err == nil
	return conflicts, err
}

// giveBack trims those segments of this cluster for which concerns returns true to at most bytes, and lowers their rows.
func (c *Cache) giveBack(concerns func(r *row) (bytes uint64, concerned bool)) (conflicts int, err error) {
	var failed error
	swaps, err := c.ledgerCell.Update(func() (store bool) {
		for i := len(c.ledger.rows) - 1; i >= 0 && failed == nil; i-- {
			r := c.ledger.rows[i]
			if string(r.cluster) != c.cluster {
				continue
			}
			bytes, concerned := concerns(&r)
			if !concerned {
				continue
			}
			left, more, err := c.trim(r, bytes)
			conflicts += more
			if err != nil {
				failed = err
				break
			}
			if left != r.room {
				c.ledger.lower(i, left)
				store = true
			}
		}
		return store && failed == nil
	})
	return conflicts + swaps, cmp.Or(failed, err)
}

// all is more bytes than a segment can have.
const all = math.MaxUint64

package cache

import (
	"errors"
	"math"

	"github.com/weir-mesh/weir/sharedstate"
)

// Who grows writes the ledger first and its index then; who makes another smaller writes that one's index first and the
// ledger then. So an index's room is never more than its row, whoever stops in between. Two rules keep it so where both
// happen at the same time:
//
//	grow    load the index ─── write the ledger, always ─── swap the index
//	shrink  load the ledger ── swap the index, always ───── swap the ledger
//
// A growth that wrote the ledger after the shrinking one had loaded it makes that one's swap mismatch. One that wrote it
// before, but has not swapped its index yet, finds the index changed, and begins again.

// makeRoom sees to it that what the own index is about to say of a segment, with the entry w, is no more than its room. It
// raises the segment's row. Where that is more than the whole cache may have, whoever has most drops its least recently
// stored entries: others, or this segment itself.
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

// shareOut makes the ledger that was loaded say that the own segment has the room that its index needs. It takes some from
// others so many times.
func (c *Cache) shareOut(segment, keep uint16, now int64) (fits bool, takes, conflicts int, err error) {
	for range sharedstate.MaxSwaps {
		need := c.granules(c.own.bytes())
		if need <= uint64(c.own.room) {
			return true, takes, conflicts, nil
		}
		has := uint64(c.ledger.room(c.name, segment))
		room := max(need, has) // never lowered here: another worker may be about to use it
		var giver int
		var left uint64
		if has == 0 && !c.ledger.fits(c.name) {
			giver = c.ledger.stalest() // and nothing is left to it
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

// leave is what a segment keeps that gives as much as is over, but no more than half at a time: the next one that gives may
// be another.
func (c *Cache) leave(room, over uint64) uint64 { return room - min(over, c.granules((room+1)/2)) }

// granules rounds bytes up to the room they need.
func (c *Cache) granules(bytes uint64) uint64 { return (bytes + c.unit - 1) / c.unit * c.unit }

// trim drops a segment's least recently stored entries until they take at most so many bytes, and gives back the room that
// it has left then.
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

// settle empties the segments that the cluster had under an earlier policy, with more entries. A worker does so once,
// before its first Put.
func (c *Cache) settle() (conflicts int, err error) {
	conflicts, err = c.giveBack(func(r *row) (bytes uint64, concerned bool) { return 0, int(r.segment) >= c.segments })
	c.settled = err == nil
	return conflicts, err
}

// giveBack lowers the rows of this cluster to what their segments need, which is at most so many bytes.
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
	if failed != nil {
		err = failed
	}
	return conflicts + swaps, err
}

// all is more bytes than any segment has.
const all = math.MaxUint64

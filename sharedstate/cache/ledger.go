package cache

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// ledger is how much of MaxBytes each segment of each cluster has reserved. Its sum is bounded, it is changed as a whole,
// and no segment's entries take more than its row: so the cache of the process is bounded.
type ledger struct {
	rows  []row // by cluster and segment
	total uint64
}

// row is the room that one segment has reserved.
type row struct {
	cluster []byte // a slice of the bytes that were unpacked
	segment uint16
	room    uint32 // never 0
	grown   int64  // when it last grew, nanoseconds
}

// Bounds of the ledger. In a full one, a new segment replaces the one that grew the longest ago.
const (
	MaxRows        = 1024
	MaxLedgerBytes = 64 << 10
)

// granule is the unit in which room is reserved: a segment changes the ledger once for every four entries of 4 KB, and no
// more when it is full.
const granule = 16 << 10

// LedgerVersion is the first byte of a packed ledger. A ledger of any other version is read as an empty one.
const LedgerVersion = 1

// The packed form, little endian:
//
//	0  u8   version
//	1  u8   0
//	2  u16  number of rows
//	4  for each row, by cluster and segment:
//	    0  u16  length of the cluster's name
//	    2  u16  segment
//	    4  u32  room
//	    8  i64  grown
//	   16  the name
const ledgerFixed, rowFixed = 4, 16

// Unpack implements sharedstate.Packed.
func (l *ledger) Unpack(b []byte) (ok bool) {
	if !l.unpack(b) {
		l.rows, l.total = l.rows[:0], 0
		return false
	}
	return true
}

func (l *ledger) unpack(b []byte) (ok bool) {
	l.rows, l.total = l.rows[:0], 0
	le := binary.LittleEndian
	if len(b) < ledgerFixed || len(b) > MaxLedgerBytes || b[0] != LedgerVersion || b[1] != 0 {
		return false
	}
	n := int(le.Uint16(b[2:]))
	if n > MaxRows {
		return false
	}
	rest := b[ledgerFixed:]
	for range n {
		if len(rest) < rowFixed {
			return false
		}
		end := rowFixed + int(le.Uint16(rest))
		if end > len(rest) {
			return false
		}
		r := row{
			cluster: rest[rowFixed:end],
			segment: le.Uint16(rest[2:]),
			room:    le.Uint32(rest[4:]),
			grown:   int64(le.Uint64(rest[8:])),
		}
		last := len(l.rows) - 1
		if r.room == 0 || r.segment >= MaxSegments || last >= 0 && l.rows[last].compare(r.cluster, r.segment) >= 0 {
			return false
		}
		l.rows = append(l.rows, r)
		l.total += uint64(r.room)
		rest = rest[end:]
	}
	return len(rest) == 0 && l.total <= MaxBytes
}

// AppendTo implements sharedstate.Packed.
func (l *ledger) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, LedgerVersion, 0)
	b = le.AppendUint16(b, uint16(len(l.rows)))
	for i := range l.rows {
		r := &l.rows[i]
		b = le.AppendUint16(b, uint16(len(r.cluster)))
		b = le.AppendUint16(b, r.segment)
		b = le.AppendUint32(b, r.room)
		b = le.AppendUint64(b, uint64(r.grown))
		b = append(b, r.cluster...)
	}
	return b
}

// compare orders rows by cluster and segment.
func (r *row) compare(cluster []byte, segment uint16) int {
	if c := bytes.Compare(r.cluster, cluster); c != 0 {
		return c
	}
	return int(r.segment) - int(segment)
}

// find is the index of a segment's row, or the one where it would be inserted.
func (l *ledger) find(cluster []byte, segment uint16) (at int, found bool) {
	for at < len(l.rows) {
		c := l.rows[at].compare(cluster, segment)
		if c >= 0 {
			return at, c == 0
		}
		at++
	}
	return at, false
}

// room is what a segment has reserved.
func (l *ledger) room(cluster []byte, segment uint16) uint32 {
	if at, found := l.find(cluster, segment); found {
		return l.rows[at].room
	}
	return 0
}

// grow sets a segment's room, above 0, at time now. ok is false where the ledger has no place for another row.
func (l *ledger) grow(cluster []byte, segment uint16, room uint32, now int64) (ok bool) {
	at, found := l.find(cluster, segment)
	if !found {
		if !l.fits(cluster) {
			return false
		}
		l.rows = slices.Insert(l.rows, at, row{cluster: cluster, segment: segment})
	}
	l.total += uint64(room) - uint64(l.rows[at].room)
	l.rows[at].room, l.rows[at].grown = room, now
	return true
}

// lower sets a row's room to less, and removes the row where that is 0.
func (l *ledger) lower(at int, room uint32) {
	l.total -= uint64(l.rows[at].room) - uint64(room)
	if l.rows[at].room = room; room == 0 {
		l.rows = slices.Delete(l.rows, at, at+1)
	}
}

// fits says whether the ledger has a place for another row of a cluster.
func (l *ledger) fits(cluster []byte) bool {
	size := ledgerFixed + rowFixed + len(cluster)
	for i := range l.rows {
		size += rowFixed + len(l.rows[i].cluster)
	}
	return len(l.rows) < MaxRows && size <= MaxLedgerBytes
}

// largest is the index of the row with the most room, except that of one segment; -1: there is none.
func (l *ledger) largest(cluster []byte, segment uint16) int {
	found := -1
	for i := range l.rows {
		if (found < 0 || l.rows[i].room > l.rows[found].room) && l.rows[i].compare(cluster, segment) != 0 {
			found = i
		}
	}
	return found
}

// stalest is the index of the row that grew the longest ago; -1: there is none.
func (l *ledger) stalest() int {
	found := -1
	for i := range l.rows {
		if found < 0 || l.rows[i].grown < l.rows[found].grown {
			found = i
		}
	}
	return found
}

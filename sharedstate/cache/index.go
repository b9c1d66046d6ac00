package cache

import (
	"encoding/binary"
	"slices"

	"github.com/weir-mesh/weir/sharedstate"
)

// index is the list of a segment's entries and their slots. It is changed as a whole, by one compare-and-swap, and it
// alone decides: the value of a slot that the index doesn't list is ignored.
type index struct {
	ways      []way  // by slot, each at most once
	room      uint32 // bytes of MaxBytes that this segment may use, never more than its row in the ledger says
	notBefore int64  // responses to requests that began then or before are refused
}

// way is one entry's line in the index.
type way struct {
	key    sharedstate.Fingerprint
	stored int64
	path   uint64
	size   uint32 // of the value in the slot
	slot   uint16
}

// IndexVersion is the first byte of a packed index. An index of any other version is read as an empty one.
const IndexVersion = 1

// The packed form, little endian:
//
//	 0  u8   version
//	 1  u8   0
//	 2  u16  number of ways
//	 4  u32  room
//	 8  i64  notBefore
//	16  for each way, by slot:
//	     0  u64  key, high
//	     8  u64  key, low
//	    16  i64  stored
//	    24  u64  path
//	    32  u32  size
//	    36  u16  slot
//	    38  u16  0
//
// With SegmentWays ways these are 10,256 bytes.
const indexFixed, waySize, waySizeAt = 16, 40, 32

// Unpack implements sharedstate.Packed.
func (x *index) Unpack(b []byte) (ok bool) {
	x.ways, x.room, x.notBefore = x.ways[:0], 0, 0
	if !indexShaped(b) {
		return false
	}
	sum, next := uint64(0), 0
	for at := indexFixed; at < len(b); at += waySize {
		w, fits := unpackWay(b[at : at+waySize])
		if !fits || int(w.slot) < next {
			x.ways = x.ways[:0]
			return false
		}
		next = int(w.slot) + 1
		sum += uint64(w.size)
		x.ways = append(x.ways, w)
	}
	le := binary.LittleEndian
	room, notBefore := le.Uint32(b[4:]), int64(le.Uint64(b[8:]))
	if sum > uint64(room) || room > MaxBytes || notBefore < 0 {
		x.ways = x.ways[:0]
		return false
	}
	x.room, x.notBefore = room, notBefore
	return true
}

// AppendTo implements sharedstate.Packed.
func (x *index) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, IndexVersion, 0)
	b = le.AppendUint16(b, uint16(len(x.ways)))
	b = le.AppendUint32(b, x.room)
	b = le.AppendUint64(b, uint64(x.notBefore))
	for i := range x.ways {
		w := &x.ways[i]
		b = le.AppendUint64(b, w.key.Hi)
		b = le.AppendUint64(b, w.key.Lo)
		b = le.AppendUint64(b, uint64(w.stored))
		b = le.AppendUint64(b, w.path)
		b = le.AppendUint32(b, w.size)
		b = le.AppendUint16(b, w.slot)
		b = le.AppendUint16(b, 0)
	}
	return b
}

func indexShaped(b []byte) bool {
	if len(b) < indexFixed || b[0] != IndexVersion || b[1] != 0 {
		return false
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	return n <= SegmentWays && len(b) == indexFixed+waySize*n
}

func unpackWay(b []byte) (w way, ok bool) {
	le := binary.LittleEndian
	w = way{
		key:    sharedstate.Fingerprint{Hi: le.Uint64(b), Lo: le.Uint64(b[8:])},
		stored: int64(le.Uint64(b[16:])),
		path:   le.Uint64(b[24:]),
		size:   le.Uint32(b[waySizeAt:]),
		slot:   le.Uint16(b[36:]),
	}
	ok = w.stored >= 0 && w.size >= headFixed && w.size <= MaxEntryBytes &&
		w.slot < SegmentWays && le.Uint16(b[38:]) == 0
	return w, ok
}

// lookup finds a key's way in a packed index without unpacking the others.
func lookup(b []byte, key sharedstate.Fingerprint) (w way, ok bool) {
	if !indexShaped(b) {
		return way{}, false
	}
	le := binary.LittleEndian
	for at := indexFixed; at < len(b); at += waySize {
		if le.Uint64(b[at:]) == key.Hi && le.Uint64(b[at+8:]) == key.Lo {
			return unpackWay(b[at : at+waySize])
		}
	}
	return way{}, false
}

// lists says whether a packed index has a way whose key has this Hi.
func lists(b []byte, hi uint64) bool {
	if !indexShaped(b) {
		return false
	}
	for at := indexFixed; at < len(b); at += waySize {
		if binary.LittleEndian.Uint64(b[at:]) == hi {
			return true
		}
	}
	return false
}

// slotTaken says whether a packed index lists an entry in a slot.
func slotTaken(b []byte, slot uint16) bool {
	if !indexShaped(b) {
		return false
	}
	for at := indexFixed; at < len(b); at += waySize {
		if binary.LittleEndian.Uint16(b[at+36:]) == slot {
			return true
		}
	}
	return false
}

// bytes is the size of all entries.
func (x *index) bytes() uint64 {
	sum := uint64(0)
	for i := range x.ways {
		sum += uint64(x.ways[i].size)
	}
	return sum
}

// find returns the key's way, or nil.
func (x *index) find(key sharedstate.Fingerprint) *way {
	for i := range x.ways {
		if x.ways[i].key == key {
			return &x.ways[i]
		}
	}
	return nil
}

// put adds an entry, of at most capacity: in its key's way, or in the first free slot. It drops the least recently
// stored entries where there are too many, and appends their slots to freed.
func (x *index) put(w way, capacity int, freed []uint16) (slot uint16, _ []uint16) {
	had := x.find(w.key)
	if had != nil {
		w.slot = had.slot
		*had = w
		for len(x.ways) > capacity {
			freed = x.drop(x.oldest(w.slot), freed)
		}
		return w.slot, freed
	}
	for len(x.ways) >= capacity {
		freed = x.drop(x.oldest(noSlot), freed)
	}
	at := 0
	for at < len(x.ways) && int(x.ways[at].slot) == at {
		at++
	}
	w.slot = uint16(at)
	x.ways = slices.Insert(x.ways, at, w)
	if i := slices.Index(freed, w.slot); i >= 0 { // it is overwritten, not emptied
		freed = slices.Delete(freed, i, i+1)
	}
	return w.slot, freed
}

// noSlot is the number of no slot.
const noSlot = SegmentWays

// shrink drops the least recently stored entries, except the one in the slot keep, until all take at most bytes. It
// appends their slots to freed.
func (x *index) shrink(bytes uint64, keep uint16, freed []uint16) []uint16 {
	for sum := x.bytes(); sum > bytes; {
		i := x.oldest(keep)
		if i < 0 {
			break
		}
		sum -= uint64(x.ways[i].size)
		freed = x.drop(i, freed)
	}
	return freed
}

// dropPath drops the entries with a path, and appends their slots to freed.
func (x *index) dropPath(path uint64, freed []uint16) []uint16 {
	return x.dropWhere(func(w *way) bool { return w.path == path }, freed)
}

// dropWhere drops the entries that match, and appends their slots to freed.
func (x *index) dropWhere(match func(*way) bool, freed []uint16) []uint16 {
	for i := len(x.ways) - 1; i >= 0; i-- {
		if match(&x.ways[i]) {
			freed = x.drop(i, freed)
		}
	}
	return freed
}

// oldest is the index of the least recently stored way, except the one in the slot keep; -1: there is none.
func (x *index) oldest(keep uint16) int {
	found := -1
	for i := range x.ways {
		if x.ways[i].slot != keep && (found < 0 || x.ways[i].stored < x.ways[found].stored) {
			found = i
		}
	}
	return found
}

func (x *index) drop(i int, freed []uint16) []uint16 {
	freed = append(freed, x.ways[i].slot)
	x.ways = slices.Delete(x.ways, i, i+1)
	return freed
}

// refuse makes the index refuse responses to all requests that began by now. notBefore is lowered only where it is a
// time of another clock, which would refuse for ever.
func (x *index) refuse(now int64) {
	if x.notBefore < now || ahead(x.notBefore, now) {
		x.notBefore = max(now, 0)
	}
}

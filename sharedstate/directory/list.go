package directory

import "encoding/binary"

// list is the clusters of one document: packed entries, as they came.
type list struct {
	claim   uint32 // of the row that they belong to
	leftOut bool   // some found no room
	entries []byte
}

// listVersion is the first byte of a packed list. One of any other version is read as an empty one.
const listVersion = 1

// The packed form, little endian:
//
//	0  u8   version
//	1  u8   1: some clusters were left out
//	2  u16  0
//	4  u32  claim
//	8  u16 length of an entry, the entry, u16 …
const listFixed = 8

// AppendTo implements sharedstate.Packed.
func (l *list) AppendTo(b []byte) []byte {
	leftOut := byte(0)
	if l.leftOut {
		leftOut = 1
	}
	b = append(b, listVersion, leftOut, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, l.claim)
	return append(b, l.entries...)
}

// Unpack implements sharedstate.Packed. The entries are a copy; what of them is no entry is found when they are read.
func (l *list) Unpack(b []byte) (ok bool) {
	l.claim, l.leftOut, l.entries = 0, false, l.entries[:0]
	if len(b) < listFixed || len(b) > MaxBytes || b[0] != listVersion || b[1] > 1 || b[2] != 0 || b[3] != 0 {
		return false
	}
	l.claim, l.leftOut = binary.LittleEndian.Uint32(b[4:]), b[1] == 1
	l.entries = append(l.entries, b[listFixed:]...)
	return true
}

// all calls yield for each entry, as far as they can be read.
func (l *list) all(yield func(e *Entry) bool) {
	for rest := l.entries; len(rest) >= 2; {
		size := int(binary.LittleEndian.Uint16(rest))
		var e Entry
		if size > len(rest)-2 || !e.Unpack(rest[2:2+size]) || !yield(&e) {
			return
		}
		rest = rest[2+size:]
	}
}

// add appends an entry, if there is room.
func (l *list) add(packed []byte) {
	if len(packed) > 1<<16-1 || listFixed+len(l.entries)+2+len(packed) > MaxBytes {
		l.leftOut = true
		return
	}
	l.entries = binary.LittleEndian.AppendUint16(l.entries, uint16(len(packed)))
	l.entries = append(l.entries, packed...)
}

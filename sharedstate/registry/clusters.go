package registry

import "encoding/binary"

// clusterList is the clusters of one document: packed entries, as they came.
type clusterList struct {
	claim   uint32 // of the row that they belong to
	leftOut bool   // some did not fit
	entries []byte
}

// clusterListVersion is the first byte of a packed list. A list of any other version is read as an empty one.
const clusterListVersion = 3

// The packed form, little endian:
//
//	0  u8   version
//	1  u8   1: some clusters were left out
//	2  u16  0
//	4  u32  claim
//	8  u16 length of an entry, the entry, u16 …
const clusterListFixed = 8

// AppendTo implements sharedstate.Packed.
func (l *clusterList) AppendTo(b []byte) []byte {
	leftOut := byte(0)
	if l.leftOut {
		leftOut = 1
	}
	b = append(b, clusterListVersion, leftOut, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, l.claim)
	return append(b, l.entries...)
}

// Unpack implements sharedstate.Packed. It copies the entries. Whether they can be read shows when they are read.
func (l *clusterList) Unpack(b []byte) (ok bool) {
	l.claim, l.leftOut, l.entries = 0, false, l.entries[:0]
	if len(b) < clusterListFixed || len(b) > MaxBytes || b[0] != clusterListVersion || b[1] > 1 || b[2] != 0 || b[3] != 0 {
		return false
	}
	l.claim, l.leftOut = binary.LittleEndian.Uint32(b[4:]), b[1] == 1
	l.entries = append(l.entries, b[clusterListFixed:]...)
	return true
}

// all calls yield for each entry, up to the first that cannot be read.
func (l *clusterList) all(yield func(e *Entry) bool) {
	for rest := l.entries; len(rest) >= 2; {
		size := int(binary.LittleEndian.Uint16(rest))
		var e Entry
		if size > len(rest)-2 || !e.Unpack(rest[2:2+size]) || !yield(&e) {
			return
		}
		rest = rest[2+size:]
	}
}

// each calls do for each entry, up to the first whose name cannot be read. It unpacks no more than the name, which comes first.
func (l *clusterList) each(do func(cluster, packed []byte)) {
	for rest := l.entries; len(rest) >= 2; {
		size := int(binary.LittleEndian.Uint16(rest))
		if size > len(rest)-2 {
			return
		}
		c := codec{packed: rest[2 : 2+size]}
		var length uint64
		c.varint(&length)
		name := c.take(length)
		if c.broken {
			return
		}
		do(name, rest[2:2+size])
		rest = rest[2+size:]
	}
}

// add appends an entry, if it fits.
func (l *clusterList) add(packed []byte) {
	if len(packed) > 1<<16-1 || clusterListFixed+len(l.entries)+2+len(packed) > MaxBytes {
		l.leftOut = true
		return
	}
	l.entries = binary.LittleEndian.AppendUint16(l.entries, uint16(len(packed)))
	l.entries = append(l.entries, packed...)
}

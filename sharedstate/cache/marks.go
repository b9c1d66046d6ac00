package cache

import (
	"encoding/binary"
	"slices"
)

// marks are what was invalidated lately in a cluster: hashes of paths and of keys, each with its time. A response to a request
// that began by then is not stored, so that what an earlier state of upstream made does not come back. They are stored before
// the entries are dropped, and read after an entry was added to its index: whichever of the two comes later sees the other.
//
// What is older than markAge, or has no place, is forgotten by raising notBefore to its time: then responses to all requests that
// began by that time are refused. So none is ever stored that should not be. With 100 invalidations a second of different paths
// the marks last 5 s, and a response that takes longer is not kept.
type marks struct {
	list      []mark // by time, but for workers that came late
	notBefore int64
}

type mark struct {
	hash uint64 // of a path, or the upper half of a key
	at   int64
}

// Bounds of a cluster's marks: 8,208 bytes.
const (
	MaxMarks = 512
	markAge  = 60 * RefreshEvery
)

// MarksVersion is the first byte of packed marks. Marks of any other version are read as none.
const MarksVersion = 1

// The packed form, little endian:
//
//	 0  u8   version
//	 1  u8   0
//	 2  u16  number of marks
//	 4  u32  0
//	 8  i64  notBefore
//	16  for each mark: u64 hash, i64 at
const marksFixed, markSize = 16, 16

// Unpack implements sharedstate.Packed.
func (m *marks) Unpack(b []byte) (ok bool) {
	m.list, m.notBefore = m.list[:0], 0
	le := binary.LittleEndian
	if len(b) < marksFixed || b[0] != MarksVersion || b[1] != 0 {
		return false
	}
	n := int(le.Uint16(b[2:]))
	if n > MaxMarks || len(b) != marksFixed+markSize*n {
		return false
	}
	m.notBefore = int64(le.Uint64(b[8:]))
	for at := marksFixed; at < len(b); at += markSize {
		m.list = append(m.list, mark{le.Uint64(b[at:]), int64(le.Uint64(b[at+8:]))})
	}
	return true
}

// AppendTo implements sharedstate.Packed.
func (m *marks) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, MarksVersion, 0)
	b = le.AppendUint16(b, uint16(len(m.list)))
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, uint64(m.notBefore))
	for _, one := range m.list {
		b = le.AppendUint64(b, one.hash)
		b = le.AppendUint64(b, uint64(one.at))
	}
	return b
}

// add notes an invalidation. Times of another clock, which would refuse for ever, are dropped.
func (m *marks) add(hash uint64, now int64) {
	if ahead(m.notBefore, now) {
		m.notBefore = 0
	}
	latest := now
	m.list = slices.DeleteFunc(m.list, func(one mark) bool {
		switch {
		case ahead(one.at, now):
			return true
		case one.hash == hash:
			latest = max(latest, one.at)
			return true
		case now-one.at > markAge:
			m.notBefore = max(m.notBefore, one.at)
			return true
		}
		return false
	})
	if len(m.list) >= MaxMarks {
		m.notBefore = max(m.notBefore, m.list[0].at)
		m.list = slices.Delete(m.list, 0, 1)
	}
	m.list = append(m.list, mark{hash, latest})
}

// refuses reports whether a way's response is of a request that began before one of them.
func (m *marks) refuses(w *way, begun, now int64) bool {
	if begun <= m.notBefore && !ahead(m.notBefore, now) {
		return true
	}
	for i := range m.list {
		if one := &m.list[i]; (one.hash == w.path || one.hash == w.key.Hi) && begun <= one.at && !ahead(one.at, now) {
			return true
		}
	}
	return false
}

package directory

import (
	"encoding/binary"
	"time"
)

const (
	// MaxDocuments is how many policy documents are told of at a time.
	MaxDocuments = 16
	// MaxBytes bounds the clusters of one document.
	MaxBytes = 256 << 10
	// Expiry is how long a document is told of without a sign of life; Every is how often a worker gives one.
	Expiry = 5 * time.Second
	Every  = time.Second
)

// row is one document.
type row struct {
	document uint64 // 0: a free row
	beat     int64  // the last sign of life, nanoseconds of a monotonic clock
	claim    uint32
	redis    bool // it calls Redis
}

// alive says whether a worker has the document. A beat that is further ahead than a worker's reading of the clock may be
// is of another clock.
func (r *row) alive(now int64) bool {
	silent := now - r.beat
	return r.document != 0 && silent <= int64(Expiry) && silent >= -int64(Expiry)
}

// rows is the record of all documents.
type rows struct {
	claims uint32 // the last one given
	rows   [MaxDocuments]row
}

// rowsVersion is the first byte of packed rows. Those of any other version are read as none.
const rowsVersion = 1

// The packed form, little endian:
//
//	 0  u8   version
//	 1  u8, u16  0
//	 4  u32  claims given
//	 8  16 x { u64 document, i64 beat, u32 claim, u32 flags: 1 redis }
//	392
const (
	rowSize  = 24
	rowsSize = 8 + MaxDocuments*rowSize

	flagRedis = 1
)

// AppendTo implements sharedstate.Packed.
func (t *rows) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, rowsVersion, 0, 0, 0)
	b = le.AppendUint32(b, t.claims)
	for i := range t.rows {
		r := &t.rows[i]
		flags := uint32(0)
		if r.redis {
			flags = flagRedis
		}
		b = le.AppendUint64(b, r.document)
		b = le.AppendUint64(b, uint64(r.beat))
		b = le.AppendUint32(b, r.claim)
		b = le.AppendUint32(b, flags)
	}
	return b
}

// Unpack implements sharedstate.Packed.
func (t *rows) Unpack(b []byte) (ok bool) {
	*t = rows{}
	le := binary.LittleEndian
	if len(b) != rowsSize || le.Uint32(b) != rowsVersion {
		return false
	}
	got := rows{claims: le.Uint32(b[4:])}
	for i := range got.rows {
		at := b[8+rowSize*i:]
		flags := le.Uint32(at[20:])
		if flags > flagRedis {
			return false
		}
		got.rows[i] = row{document: le.Uint64(at), beat: int64(le.Uint64(at[8:])), claim: le.Uint32(at[16:]), redis: flags == flagRedis}
	}
	*t = got
	return true
}

// find is a document's row, -1 where it has none.
func (t *rows) find(document uint64) int {
	for i := range t.rows {
		if t.rows[i].document == document {
			return i
		}
	}
	return -1
}

// newest is the row that was claimed last of those that are alive, -1 where there is none.
func (t *rows) newest(now int64) (slot int) {
	slot = -1
	for i := range t.rows {
		if t.rows[i].alive(now) && (slot < 0 || t.rows[i].claim > t.rows[slot].claim) {
			slot = i
		}
	}
	return slot
}

// claimShift makes of a time the least number that is claimed then, in units of 17 ms: far more of them pass than documents
// come, so that a number is new also after the record of all rows was lost. They last for two years.
const claimShift = 24

// claim gives a document a row: a free one, else that which was silent for the longest.
func (t *rows) claim(document uint64, redis bool, now int64) (slot int) {
	for i := range t.rows {
		if t.rows[i].document == 0 {
			slot = i
			break
		}
		if t.rows[i].beat < t.rows[slot].beat {
			slot = i
		}
	}
	t.claims = max(t.claims+1, uint32(now>>claimShift))
	t.rows[slot] = row{document: document, beat: now, claim: t.claims, redis: redis}
	return slot
}

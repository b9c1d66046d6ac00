package registry

import (
	"encoding/binary"

	"github.com/weir-mesh/weir/sharedstate"
)

const (
	// MaxDocuments is how many policy documents are published at a time.
	MaxDocuments = 16
	// MaxBytes bounds the clusters of one document.
	MaxBytes = 256 << 10
)

// documentRow is one policy document.
type documentRow struct {
	document  uint64 // 0: a free row
	heartbeat int64  // the last one, nanoseconds of a monotonic clock
	claim     uint32
	redis     bool // it calls Redis
}

// alive says whether a worker has the document. A heartbeat that is further ahead of now than two workers' clock
// readings differ is from another clock.
func (r *documentRow) alive(now int64) bool {
	silent := now - r.heartbeat
	return r.document != 0 && silent <= int64(sharedstate.WorkerExpiry) && silent >= -int64(sharedstate.WorkerExpiry)
}

// since is when the document came into force.
func (r *documentRow) since() int64 { return int64(r.claim) << claimShift }

// documentTable is the record of all documents.
type documentTable struct {
	claims uint32 // the last claim that a row got
	rows   [MaxDocuments]documentRow
}

// documentTableVersion is the first byte of a packed table. A table of any other version is read as an empty one.
const documentTableVersion = 1

// The packed form, little endian:
//
//	 0  u8   version
//	 1  u8, u16  0
//	 4  u32  last claim
//	 8  16 x { u64 document, i64 heartbeat, u32 claim, u32 flags: 1 redis }
//	392
const (
	documentRowSize   = 24
	documentTableSize = 8 + MaxDocuments*documentRowSize

	flagRedis = 1
)

// AppendTo implements sharedstate.Packed.
func (t *documentTable) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, documentTableVersion, 0, 0, 0)
	b = le.AppendUint32(b, t.claims)
	for i := range t.rows {
		r := &t.rows[i]
		flags := uint32(0)
		if r.redis {
			flags = flagRedis
		}
		b = le.AppendUint64(b, r.document)
		b = le.AppendUint64(b, uint64(r.heartbeat))
		b = le.AppendUint32(b, r.claim)
		b = le.AppendUint32(b, flags)
	}
	return b
}

// Unpack implements sharedstate.Packed.
func (t *documentTable) Unpack(b []byte) (ok bool) {
	*t = documentTable{}
	le := binary.LittleEndian
	if len(b) != documentTableSize || le.Uint32(b) != documentTableVersion {
		return false
	}
	read := documentTable{claims: le.Uint32(b[4:])}
	for i := range read.rows {
		row := b[8+documentRowSize*i:]
		flags := le.Uint32(row[20:])
		if flags > flagRedis {
			return false
		}
		read.rows[i] = documentRow{
			document: le.Uint64(row), heartbeat: int64(le.Uint64(row[8:])), claim: le.Uint32(row[16:]), redis: flags == flagRedis,
		}
	}
	*t = read
	return true
}

// find is a document's row, -1 where it has none.
func (t *documentTable) find(document uint64) int {
	for i := range t.rows {
		if t.rows[i].document == document {
			return i
		}
	}
	return -1
}

// newest is the living row with the highest claim, -1 where no row is alive.
func (t *documentTable) newest(now int64) (slot int) {
	slot = -1
	for i := range t.rows {
		if t.rows[i].alive(now) && (slot < 0 || t.rows[i].claim > t.rows[slot].claim) {
			slot = i
		}
	}
	return slot
}

// claimShift derives the least claim from the time, in units of 17 ms. Documents come far less often than that, so a
// claim is new even after the table was lost. 32 bits last for two years.
const claimShift = 24

// claim gives a document a row: a free one, or else the one that was silent for the longest.
func (t *documentTable) claim(document uint64, redis bool, now int64) (slot int) {
	for i := range t.rows {
		if t.rows[i].document == 0 {
			slot = i
			break
		}
		if t.rows[i].heartbeat < t.rows[slot].heartbeat {
			slot = i
		}
	}
	t.rows[slot] = documentRow{document: document, heartbeat: now, redis: redis}
	t.renew(slot, now)
	return slot
}

// renew makes a row the newest. Its list of clusters is written again.
func (t *documentTable) renew(slot int, now int64) {
	t.claims = max(t.claims+1, uint32(now>>claimShift))
	t.rows[slot].claim = t.claims
}

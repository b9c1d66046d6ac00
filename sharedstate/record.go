package sharedstate

import (
	"encoding/binary"

	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/bulkhead"
	"github.com/weir-mesh/weir/policy/packed"
)

// Record is all that the workers share of one cluster. The zero Record is a fresh one. Each algorithm packs its own
// state; the record joins them.
type Record struct {
	Breaker  breaker.State
	Bulkhead bulkhead.State
	Resets   uint32 // how often an operator has reset the cluster
	Budget   []byte // a retry.Budget's state, packed; empty: none. After Unpack it is a part of the unpacked bytes
	Limit    []byte // a ratelimit.Limiter's state, packed; as Budget
}

// RecordVersion is the first byte of a packed record. A record of any other version is read as a fresh one. Raise
// it together with Prefix, see key.go.
const RecordVersion = 4

// The packed form, little endian:
//
//	 0  u8   version
//	 1  u8   number n of sections
//	 2  u16  0
//	 4  u32  check over all bytes before the sections of kind 3 and 4, see package packed
//	 8  u32  resets
//	12  n x { u8 kind, u8 0, u16 size }
//	    u32  0, where n is even: the sections start at a multiple of 8
//	    the sections, in the order of their entries
//
// A section is the packed state of one algorithm. An empty section has no entry; kinds ascend:
//
//	kind             its bytes            their number
//	1  breaker       breaker/pack.go      40 to 504, always there
//	2  bulkhead      bulkhead/pack.go     16 for each owner, at most 4096
//	3  retry budget  retry/state.go       184, has a check of its own
//	4  limit         ratelimit/state.go   48 to 2128, has a check of its own
//
// A breaker alone takes 12 + 4 + 40 = 56 bytes.
//
// To add a section: a kind, a field of Record, its entry and its bytes in AppendTo, its field in unpack. The place of a
// kind in the order says whether the record's check covers it.
//
// A list of limits would be an entry of kind 4 for each. unpack refuses that today: it demands that kinds ascend
// strictly, and keeps one section for each kind. What has to change for it: Record.Limit becomes a list, AppendTo writes
// an entry for each limit, unpack accepts sectionLimit after sectionLimit and collects these sections. Limits are the
// last kind, so the other sections stay where they are.
//
// Both raise RecordVersion, because an older module can't read such a record, and Prefix in key.go.
const (
	headerSize = 12
	entrySize  = 4
)

const (
	sectionBreaker = 1 + iota
	sectionBulkhead
	sectionBudget
	sectionLimit

	sectionKinds
)

// AppendTo packs the record behind b.
func (r *Record) AppendTo(b []byte) []byte {
	start := len(b)
	var head [headerSize + (sectionKinds-1)*entrySize + 4]byte // appended at once: TinyGo appends by a call
	entries := 0
	for _, section := range [...]struct {
		kind uint32
		size int
	}{
		{sectionBreaker, r.Breaker.Size()},
		{sectionBulkhead, r.Bulkhead.Size()},
		{sectionBudget, len(r.Budget)},
		{sectionLimit, len(r.Limit)},
	} {
		if section.size > 0 {
			binary.LittleEndian.PutUint32(head[headerSize+entries*entrySize:], section.kind|uint32(section.size)<<16)
			entries++
		}
	}
	head[0], head[1] = RecordVersion, byte(entries)
	binary.LittleEndian.PutUint32(head[8:], r.Resets)
	b = append(b, head[:sectionsAt(entries)]...)
	b = r.Breaker.AppendTo(b)
	b = r.Bulkhead.AppendTo(b)
	packed.Seal(b[start:])
	b = append(b, r.Budget...)
	return append(b, r.Limit...)
}

// sectionsAt is the offset of the first section, a multiple of 8: reading a word that two writes made is slow.
func sectionsAt(entries int) int { return (headerSize + entrySize*entries + 7) &^ 7 }

// Rebase implements Kept: the budget and the limit, the last sections, become parts of b.
func (r *Record) Rebase(b []byte) {
	limit := len(b) - len(r.Limit)
	budget := limit - len(r.Budget)
	r.Budget, r.Limit = b[budget:limit:limit], b[limit:]
}

// Unpack reads a packed record; its budget and its limit are parts of b. Bytes of another version, a torn record or the
// value of another program are no error: they are read as a fresh record, and ok is false.
func (r *Record) Unpack(b []byte) (ok bool) {
	if !r.unpack(b) {
		*r = Record{Bulkhead: bulkhead.State{Owners: r.Bulkhead.Owners[:0]}}
		return false
	}
	return true
}

// unpack may leave parts of the record where ok is false.
func (r *Record) unpack(b []byte) (ok bool) {
	if len(b) < headerSize || b[0] != RecordVersion || b[2]|b[3] != 0 {
		return false
	}
	entries := int(b[1])
	first := sectionsAt(entries)
	if len(b) < first {
		return false
	}
	var sections [sectionKinds][]byte // by kind
	last, at := 0, first
	for entry := b[headerSize : headerSize+entrySize*entries]; len(entry) > 0; entry = entry[entrySize:] {
		kind, size := int(entry[0]), int(binary.LittleEndian.Uint16(entry[2:]))
		if kind <= last || kind >= sectionKinds || entry[1] != 0 || size == 0 || size > len(b)-at {
			return false
		}
		sections[kind] = b[at : at+size]
		last, at = kind, at+size
	}
	sealed := first + len(sections[sectionBreaker]) + len(sections[sectionBulkhead])
	if at != len(b) || !packed.Sealed(b[:sealed]) ||
		!r.Breaker.Unpack(sections[sectionBreaker]) || !r.Bulkhead.Unpack(sections[sectionBulkhead]) {
		return false
	}
	r.Resets = binary.LittleEndian.Uint32(b[8:])
	r.Budget, r.Limit = sections[sectionBudget], sections[sectionLimit]
	return true
}

package cache

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/weir-mesh/weir/policy/packed"
	"github.com/weir-mesh/weir/sharedstate"
)

// Meta is what is stored of a response besides its headers and body.
type Meta struct {
	Key    sharedstate.Fingerprint // of all parts of the request that select the response
	Path   uint64                  // keyed hash of the path without its query, for InvalidatePath
	Stored int64                   // when the response's headers came, nanoseconds, monotonic
	Status uint16

	Age          uint32 // seconds: its age when it came (RFC 9111, 4.2.3, corrected_initial_age)
	Lifetime     uint32 // seconds of freshness that upstream stated, or None
	StaleIfError uint32 // seconds (RFC 5861), or None
}

// None is a Lifetime or StaleIfError that upstream did not state.
const None uint32 = math.MaxUint32

// Bounds of one entry. A larger one is not stored.
const (
	MaxHeadBytes  = 64 << 10             // Meta and headers
	MaxEntryBytes = 1<<20 + MaxHeadBytes // with the body
)

// Entry is a stored response. Its headers and Body are slices of the bytes it was read from, which must not change
// while it is in use.
type Entry struct {
	Meta
	Body    []byte
	headers string // as packed
}

// Headers walks the stored headers in the order in which they came.
func (e *Entry) Headers(yield func(name, value string) bool) {
	for rest := e.headers; rest != ""; {
		var name, value string
		name, rest = cutText(rest)
		value, rest = cutText(rest)
		if !yield(name, value) {
			return
		}
	}
}

// cutText cuts a length of two bytes, and that many bytes, off s, which Decode has checked.
func cutText(s string) (text, rest string) {
	n := 2 + int(s[0]) + int(s[1])<<8
	return s[2:n], s[n:]
}

// EntryVersion is the first byte of a packed entry. An entry of any other version is refused.
const EntryVersion = 2

// The packed form, little endian:
//
//	 0  u8   version
//	 1  u8   0
//	 2  u16  status
//	 4  u32  check over the other bytes of the head, see package packed
//	 8  u32  bytes of the head, these 64 and the headers
//	12  u32  bytes of all
//	16  u64  key, high
//	24  u64  key, low
//	32  u64  path
//	40  i64  stored
//	48  u32  age
//	52  u32  lifetime
//	56  u32  stale-if-error
//	60  u32  0
//	64  for each header: u16 length, the name, u16 length, the value
//	    the body
//
// Put writes bytes 4 to 7 and 12 to 15, since the body comes after the head.
const headFixed = 64

// AppendHead appends the head of an entry to b, without its check and the length of all, which Put writes. The caller
// appends the body's bytes as they come. If the head is longer
// than MaxHeadBytes, ok is false and b is unchanged.
func AppendHead(b []byte, m *Meta, headers func(yield func(name, value string) bool)) (entry []byte, ok bool) {
	start := len(b)
	le := binary.LittleEndian
	b = append(b, EntryVersion, 0)
	b = le.AppendUint16(b, m.Status)
	b = append(b, make([]byte, 12)...)
	b = le.AppendUint64(b, m.Key.Hi)
	b = le.AppendUint64(b, m.Key.Lo)
	b = le.AppendUint64(b, m.Path)
	b = le.AppendUint64(b, uint64(m.Stored))
	b = le.AppendUint32(b, m.Age)
	b = le.AppendUint32(b, m.Lifetime)
	b = le.AppendUint32(b, m.StaleIfError)
	b = le.AppendUint32(b, 0)
	ok = true
	headers(func(name, value string) bool {
		if len(b)-start+4+len(name)+len(value) > MaxHeadBytes { // so each length has at most 16 bits
			ok = false
			return false
		}
		b = append(le.AppendUint16(b, uint16(len(name))), name...)
		b = append(le.AppendUint16(b, uint16(len(value))), value...)
		return true
	})
	if !ok {
		return b[:start], false
	}
	le.PutUint32(b[start+8:], uint32(len(b)-start)) // at most MaxHeadBytes
	return b, true
}

// Decode reads a packed entry, all of b. ok is false for bytes of another version, an incomplete or torn entry, another
// filter's value, or no bytes.
func Decode(b []byte) (e Entry, ok bool) {
	le := binary.LittleEndian
	head, ok := headOf(b)
	if !ok || b[0] != EntryVersion || b[1] != 0 || int(le.Uint32(b[12:])) != len(b) || le.Uint32(b[60:]) != 0 {
		return Entry{}, false
	}
	stored := int64(le.Uint64(head[40:]))
	if stored < 0 || !packed.Sealed(head) || !wholeHeaders(head[headFixed:]) {
		return Entry{}, false
	}
	return Entry{
		Meta: Meta{
			Key:          sharedstate.Fingerprint{Hi: le.Uint64(head[16:]), Lo: le.Uint64(head[24:])},
			Path:         le.Uint64(head[32:]),
			Stored:       stored,
			Status:       le.Uint16(head[2:]),
			Age:          le.Uint32(head[48:]),
			Lifetime:     le.Uint32(head[52:]),
			StaleIfError: le.Uint32(head[56:]),
		},
		Body:    b[len(head):],
		headers: unsafe.String(unsafe.SliceData(head[headFixed:]), len(head)-headFixed),
	}, true
}

// wholeHeaders says whether b consists of pairs of texts, up to its last byte.
func wholeHeaders(b []byte) bool {
	for texts := 0; ; texts++ {
		if len(b) == 0 {
			return texts%2 == 0
		}
		if len(b) < 2 {
			return false
		}
		n := 2 + int(binary.LittleEndian.Uint16(b))
		if n > len(b) {
			return false
		}
		b = b[n:]
	}
}

// headOf cuts the head off a packed entry, by the length that the head states. ok is false if that length or the
// entry's own is not that of an entry.
func headOf(b []byte) (head []byte, ok bool) {
	if len(b) < headFixed || len(b) > MaxEntryBytes {
		return nil, false
	}
	n := binary.LittleEndian.Uint32(b[8:])
	if n < headFixed || n > MaxHeadBytes || int(n) > len(b) {
		return nil, false
	}
	return b[:n], true
}

// seal writes the length of all and the check into a packed entry whose body is complete, and decodes it.
func seal(b []byte) (e Entry, ok bool) {
	head, ok := headOf(b)
	if !ok {
		return Entry{}, false
	}
	binary.LittleEndian.PutUint32(head[12:], uint32(len(b)))
	packed.Seal(head)
	return Decode(b)
}

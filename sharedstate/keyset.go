package sharedstate

import "encoding/binary"

// Fingerprint stands for a key: 128 bits of SipHash under a seed that only this process knows, so that nobody outside can
// choose keys that collide.
type Fingerprint struct{ Hi, Lo uint64 }

// KeySet is the states of a few keys in one record: a set of a set-associative table (as in a CPU's cache). A key belongs
// to one set, by its fingerprint, and takes any way of it. A set is changed as a whole, by one compare-and-swap, so that a
// key never gets two states when several workers look for it at the same time.
type KeySet struct {
	Ways []Way
	size int // bytes of each state
	n    int // ways of a set
}

// Way is one key's place. If its State is all zeros it is free.
type Way struct {
	Key   Fingerprint
	State []byte
}

// NewKeySet is a set of ways keys (at most 255) with a state of size bytes each (at most 65535).
func NewKeySet(ways, size int) *KeySet {
	return &KeySet{size: size, n: ways, Ways: make([]Way, 0, ways)}
}

// KeySetVersion is the first byte of a packed key set. A set of any other version is read as an empty one.
const KeySetVersion = 1

// The packed form, little endian:
//
//	0  u8   version
//	1  u8   number of ways
//	2  u16  bytes of a state
//	4  u32  0
//	8  ways x (u64 key, high; u64 key, low; the state)
//
// A state has a checksum of its own, where it needs one.
const keySetHeader, wayHeader = 8, 16

// KeySetSize is the size of a packed set in bytes.
func KeySetSize(ways, size int) int { return keySetHeader + ways*(wayHeader+size) }

// Unpack reads a packed set; the states are slices of b. Bytes of another version, or of a set with another number of ways
// or another size, are read as an empty set, and ok is false.
func (s *KeySet) Unpack(b []byte) (ok bool) {
	le := binary.LittleEndian
	ok = len(b) == KeySetSize(s.n, s.size) && b[0] == KeySetVersion &&
		int(b[1]) == s.n && int(le.Uint16(b[2:])) == s.size && le.Uint32(b[4:]) == 0
	if !ok {
		b = make([]byte, KeySetSize(s.n, s.size))
	}
	s.Ways = s.Ways[:0]
	for at := keySetHeader; at < len(b); at += wayHeader + s.size {
		s.Ways = append(s.Ways, Way{
			Key:   Fingerprint{le.Uint64(b[at:]), le.Uint64(b[at+8:])},
			State: b[at+wayHeader : at+wayHeader+s.size : at+wayHeader+s.size],
		})
	}
	return ok
}

// AppendTo packs the set behind b.
func (s *KeySet) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, KeySetVersion, byte(s.n))
	b = le.AppendUint16(b, uint16(s.size))
	b = le.AppendUint32(b, 0)
	for i := range s.Ways {
		w := &s.Ways[i]
		b = le.AppendUint64(b, w.Key.Hi)
		b = le.AppendUint64(b, w.Key.Lo)
		b = append(b, w.State...)
	}
	return b
}

// Find returns the way that key has (had is true), or one that it may take: the first whose state is idle, which is as good
// as a fresh one. It returns nil where other keys use all ways.
func (s *KeySet) Find(key Fingerprint, idle func(state []byte) bool) (way *Way, had bool) {
	for i := range s.Ways {
		if s.Ways[i].Key == key {
			return &s.Ways[i], true
		}
	}
	for i := range s.Ways {
		if idle(s.Ways[i].State) {
			return &s.Ways[i], false
		}
	}
	return nil, false
}

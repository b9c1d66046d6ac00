package sharedstate

import "encoding/binary"

// Fingerprint stands for a key: 128 bits of SipHash under a seed that only this process knows, so that nobody outside can
// choose keys that meet.
type Fingerprint struct{ Hi, Lo uint64 }

// KeySet is the limits of a few keys in one record: a set of a set-associative table (as in a CPU's cache). A key
// belongs to one set, by its fingerprint, and takes any way of it. That a set is changed as a whole, by one
// compare-and-swap, is why a key never gets two limits, whoever asks at the same time.
type KeySet struct {
	Ways []Way
	size int // bytes of each state
	n    int // ways of a set
}

// Way is one key's place. A State of zeros is a free place.
type Way struct {
	Key   Fingerprint
	State []byte
}

// NewKeySet makes room for ways keys with a state of size bytes each.
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
// The states check themselves.
const keySetHeader, wayHeader = 8, 16

// KeySetSize is the size of a packed set in bytes.
func KeySetSize(ways, size int) int { return keySetHeader + ways*(wayHeader+size) }

// Unpack reads a packed set; the states are places in b. Bytes of another version, or of a set with other ways or
// sizes, are read as an empty set, and ok is false.
func (s *KeySet) Unpack(b []byte) (ok bool) {
	le := binary.LittleEndian
	ok = len(b) == KeySetSize(s.n, s.size) && b[0] == KeySetVersion && int(b[1]) == s.n && int(le.Uint16(b[2:])) == s.size && le.Uint32(b[4:]) == 0
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

// Find returns the way that key has, or one that it may take: the first for which idle says that its state can't be told
// from a fresh one. Nil: all ways are in use by others.
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

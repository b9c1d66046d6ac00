package sharedstate

import "encoding/binary"

// Fingerprint stands for a key: 128 bits of SipHash under a seed that only this process knows, so that nobody outside
// can choose keys that collide.
type Fingerprint struct{ Hi, Lo uint64 }

// KeySet is the states of a few keys in one record: a set of a set-associative table (as in a CPU's cache). A key
// belongs to one set, by its fingerprint, and takes any way of it. A set is changed as a whole, by one
// compare-and-swap, so that a key never gets two states when several workers look for it at the same time.
//
// A set has as many ways as keys had one at a time, and each state is as long as it is: the plugins that share a table
// may have states of different sizes, and several for one key.
type KeySet struct {
	Ways []Way
	most int // ways that this plugin uses
}

// Way is one key's place.
type Way struct {
	Key   Fingerprint
	State []byte // of any length; empty: none yet
}

// NewKeySet is a set of at most so many keys (at most 255).
func NewKeySet(most int) *KeySet {
	return &KeySet{most: most, Ways: make([]Way, 0, most)}
}

// KeySetVersion is the first byte of a packed key set. A set of any other version is read as an empty one.
const KeySetVersion = 2

// The packed form, little endian:
//
//	0  u8   version
//	1  u8   number of ways
//	2  u16  0
//	4  u32  0
//	8  ways x (u64 key, high; u64 key, low; u32 bytes of the state; u32 0; the state)
//
// A state has a checksum of its own, where it needs one. Version 1, of modules before 0.2.0, had states of one size, and
// a plugin with another size read such a set as an empty one: two plugins with different numbers had no limit.
const keySetHeader, wayHeader = 8, 24

// Unpack reads a packed set; the states are slices of b. Bytes of another version or that are torn are read as an empty
// set, and ok is false.
func (s *KeySet) Unpack(b []byte) (ok bool) {
	s.Ways = s.Ways[:0]
	if !s.unpack(b) {
		s.Ways = s.Ways[:0]
		return false
	}
	return true
}

// unpack may leave ways where ok is false.
func (s *KeySet) unpack(b []byte) (ok bool) {
	le := binary.LittleEndian
	if len(b) < keySetHeader || b[0] != KeySetVersion || b[2]|b[3] != 0 || le.Uint32(b[4:]) != 0 {
		return false
	}
	n := int(b[1])
	for b = b[keySetHeader:]; len(b) >= wayHeader; {
		size := uint64(le.Uint32(b[16:]))
		if size > uint64(len(b)-wayHeader) || le.Uint32(b[20:]) != 0 {
			return false
		}
		end := wayHeader + int(size)
		s.Ways = append(s.Ways, Way{Key: Fingerprint{le.Uint64(b), le.Uint64(b[8:])}, State: b[wayHeader:end:end]})
		b = b[end:]
	}
	return len(b) == 0 && len(s.Ways) == n
}

// AppendTo packs the set behind b.
func (s *KeySet) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, KeySetVersion, byte(len(s.Ways)), 0, 0, 0, 0, 0, 0)
	for i := range s.Ways {
		w := &s.Ways[i]
		b = le.AppendUint64(b, w.Key.Hi)
		b = le.AppendUint64(b, w.Key.Lo)
		b = le.AppendUint64(b, uint64(uint32(len(w.State))))
		b = append(b, w.State...)
	}
	return b
}

// Take returns a way that a key without one may take: the first whose state is idle, which is as good as a fresh one, or a new
// one. Its state is empty. It returns nil where other keys use all ways.
func (s *KeySet) Take(key Fingerprint, states KeyStates) *Way {
	for i := range s.Ways {
		if w := &s.Ways[i]; states.Idle(w.State) {
			*w = Way{Key: key}
			return w
		}
	}
	if len(s.Ways) >= s.most {
		return nil
	}
	s.Ways = append(s.Ways, Way{Key: key})
	return &s.Ways[len(s.Ways)-1]
}

// Has returns the way that key has, nil if it has none.
func (s *KeySet) Has(key Fingerprint) *Way {
	for i := range s.Ways {
		if s.Ways[i].Key == key {
			return &s.Ways[i]
		}
	}
	return nil
}

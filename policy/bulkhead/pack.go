package bulkhead

import "encoding/binary"

// OwnerSize is the size of a packed Owner in bytes.
const OwnerSize = 16

// The packed form, little endian, for each owner:
//
//	 0  u32  id
//	 4  u32  running requests, at least 1
//	 8  i64  last change or heartbeat, nanoseconds of a monotonic clock
//	16
//
// The number of owners follows from the number of bytes.

// Size is the number of bytes that AppendTo appends.
func (s *State) Size() int { return OwnerSize * len(s.Owners) }

// AppendTo packs the state behind b, in OwnerSize bytes for each owner.
func (s *State) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	for i := range s.Owners {
		var owner [OwnerSize]byte
		le.PutUint32(owner[0:], s.Owners[i].ID)
		le.PutUint32(owner[4:], s.Owners[i].Count)
		le.PutUint64(owner[8:], uint64(s.Owners[i].Heartbeat))
		b = append(b, owner[:]...)
	}
	return b
}

// Unpack reads a packed state, all of b, and reuses the Owners of s. Bytes that no state packs to are no error: they
// are read as a fresh one, and ok is false. (Duplicate ids are not detected: the second gets no heartbeat, so it is
// dead after Expiry.)
func (s *State) Unpack(b []byte) (ok bool) {
	s.Owners = s.Owners[:0]
	if len(b)%OwnerSize != 0 || len(b) > OwnerSize*MaxOwners {
		return false
	}
	le := binary.LittleEndian
	for ; len(b) > 0; b = b[OwnerSize:] {
		o := Owner{ID: le.Uint32(b), Count: le.Uint32(b[4:]), Heartbeat: int64(le.Uint64(b[8:]))}
		if o.Count == 0 {
			s.Owners = s.Owners[:0]
			return false
		}
		s.Owners = append(s.Owners, o)
	}
	return true
}

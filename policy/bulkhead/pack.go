package bulkhead

import "encoding/binary"

// OwnerSize is the size of a packed Owner in bytes.
const OwnerSize = 16

// The packed form, little endian, for each owner:
//
//	 0  u32  id
//	 4  u32  requests that run, at least 1
//	 8  i64  last sign of life, nanoseconds
//	16
//
// The number of owners is that of the bytes.

// Size is the number of bytes that AppendTo appends.
func (s *State) Size() int { return OwnerSize * len(s.Owners) }

// AppendTo packs the state behind b, in OwnerSize bytes for each owner.
func (s *State) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	for i := range s.Owners {
		b = le.AppendUint32(b, s.Owners[i].ID)
		b = le.AppendUint32(b, s.Owners[i].Count)
		b = le.AppendUint64(b, uint64(s.Owners[i].Beat))
	}
	return b
}

// Unpack reads a packed state, all of b, into the slice that s has. Bytes that no state packs to are no error: they are
// read as a fresh one, and ok is false. (The same id twice is not looked for: nobody beats for the second, so it is dead
// within Expiry.)
func (s *State) Unpack(b []byte) (ok bool) {
	s.Owners = s.Owners[:0]
	if len(b)%OwnerSize != 0 || len(b) > OwnerSize*MaxOwners {
		return false
	}
	le := binary.LittleEndian
	for ; len(b) > 0; b = b[OwnerSize:] {
		o := Owner{ID: le.Uint32(b), Count: le.Uint32(b[4:]), Beat: int64(le.Uint64(b[8:]))}
		if o.Count == 0 {
			s.Owners = s.Owners[:0]
			return false
		}
		s.Owners = append(s.Owners, o)
	}
	return true
}

package registry

import (
	"encoding/binary"

	"github.com/weir-mesh/weir/sharedstate"
)

// Uncarried are the reasons for which a cluster's attempts were not carried that any worker has counted, a bit for each by its
// number: as CacheObstacles, so that the admin API knows which metrics there are.
type Uncarried uint64

func uncarriedKey(cluster string) string { return documentsKey + "/uncarried/" + cluster }

const (
	uncarriedVersion = 1
	uncarriedSize    = 10
)

// The packed form, little endian: u8 version, u8 0, u64.

// AppendTo implements sharedstate.Packed.
func (u *Uncarried) AppendTo(b []byte) []byte {
	return binary.LittleEndian.AppendUint64(append(b, uncarriedVersion, 0), uint64(*u))
}

// Unpack implements sharedstate.Packed.
func (u *Uncarried) Unpack(b []byte) (ok bool) {
	*u = 0
	if len(b) != uncarriedSize || b[0] != uncarriedVersion || b[1] != 0 {
		return false
	}
	*u = Uncarried(binary.LittleEndian.Uint64(b[2:]))
	return true
}

// NoteUncarried adds reasons to those that were counted.
func NoteUncarried(store sharedstate.Store, cluster string, more Uncarried) error {
	var u Uncarried
	_, err := sharedstate.NewCell(store, uncarriedKey(cluster), &u).Update(func() (changed bool) {
		before := u
		u |= more
		return u != before
	})
	return err
}

// ReadUncarried reads those that were counted.
func ReadUncarried(store sharedstate.Store, cluster string) (u Uncarried, err error) {
	_, err = sharedstate.NewCell(store, uncarriedKey(cluster), &u).Load()
	return u, err
}

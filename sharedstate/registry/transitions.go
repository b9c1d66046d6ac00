package registry

import (
	"encoding/binary"

	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/sharedstate"
)

// Change is one change of a circuit breaker's state.
type Change struct {
	At       int64 // nanoseconds of a monotonic clock
	From, To breaker.Status
	Cluster  string
	Cause    string // as in the log
}

// MaxChanges is how many changes are kept, of all clusters together: the last ones.
const MaxChanges = 32

// changes are in the order in which they came.
type changes []Change

const (
	changesKey     = documentsKey + "/changes"
	changesVersion = 1
	changeFixed    = 13
)

// The packed form, little endian: u8 version, then for each change
//
//	 0  i64  at
//	 8  u8   from
//	 9  u8   to
//	10  u8   length of the cause
//	11  u16  length of the cluster's name, at most 1,024
//	13  the cause, the name

// AppendTo implements sharedstate.Packed.
func (c *changes) AppendTo(b []byte) []byte {
	b = append(b, changesVersion)
	for i := range *c {
		one := &(*c)[i]
		b = binary.LittleEndian.AppendUint64(b, uint64(one.At))
		b = append(b, byte(one.From), byte(one.To), byte(len(one.Cause)))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(one.Cluster)))
		b = append(append(b, one.Cause...), one.Cluster...)
	}
	return b
}

// Unpack implements sharedstate.Packed.
func (c *changes) Unpack(b []byte) (ok bool) {
	*c = nil
	if len(b) == 0 || b[0] != changesVersion {
		return false
	}
	var read changes
	for b = b[1:]; len(b) > 0; {
		if len(b) < changeFixed || b[8] > byte(breaker.Open) || b[9] > byte(breaker.Open) || len(read) == MaxChanges {
			return false
		}
		cause := changeFixed + int(b[10])
		end := cause + int(binary.LittleEndian.Uint16(b[11:]))
		if end > len(b) {
			return false
		}
		read = append(read, Change{
			At: int64(binary.LittleEndian.Uint64(b)), From: breaker.Status(b[8]), To: breaker.Status(b[9]),
			Cause: string(b[changeFixed:cause]), Cluster: string(b[cause:end]),
		})
		b = b[end:]
	}
	*c = read
	return true
}

// Publish adds the change to those that are shown, and drops the oldest one where there are MaxChanges. Names are cut to 1,024
// bytes, causes to 255.
func (c Change) Publish(store sharedstate.Store) error {
	c.Cluster, c.Cause = c.Cluster[:min(len(c.Cluster), 1024)], c.Cause[:min(len(c.Cause), 255)]
	var all changes
	_, err := sharedstate.NewCell(store, changesKey, &all).Update(func() bool {
		all = append(all[max(0, len(all)-MaxChanges+1):], c)
		return true
	})
	return err
}

// ReadChanges reads the changes that are shown, in the order in which they came.
func ReadChanges(store sharedstate.Store) ([]Change, error) {
	var all changes
	_, err := sharedstate.NewCell(store, changesKey, &all).Load()
	return all, err
}

package directory

import (
	"encoding/binary"

	"github.com/weir-mesh/weir/sharedstate"
)

// Baseline is what a cluster's metrics had counted when an operator reset it: metrics only grow, and what is shown is what
// came since. The numbers are in the order in which the caller counts, at most MaxCounts: 4 + 8 bytes each a cluster that was
// ever reset.
type Baseline struct{ Counts []uint64 }

// MaxCounts bounds a baseline.
const MaxCounts = 64

// BaselineKey is where a cluster's is kept.
func BaselineKey(cluster string) string { return rowsKey + "/baseline/" + cluster }

// baselineVersion is the first byte of a packed baseline. One of another version is read as none: since the start.
const baselineVersion = 1

// The packed form, little endian: u8 version, u8 0, u16 number of counts, u64 each.

// AppendTo implements sharedstate.Packed.
func (l *Baseline) AppendTo(b []byte) []byte {
	counts := l.Counts[:min(len(l.Counts), MaxCounts)]
	b = append(b, baselineVersion, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(counts)))
	for _, n := range counts {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}

// Unpack implements sharedstate.Packed.
func (l *Baseline) Unpack(b []byte) (ok bool) {
	l.Counts = l.Counts[:0]
	if len(b) < 4 || b[0] != baselineVersion || b[1] != 0 {
		return false
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	if n > MaxCounts || len(b) != 4+8*n {
		return false
	}
	for i := range n {
		l.Counts = append(l.Counts, binary.LittleEndian.Uint64(b[4+8*i:]))
	}
	return true
}

// Since is what was counted since the baseline, in place. A count below it began anew (Envoy drops a counter that nobody
// holds) and stays as it is.
func (l *Baseline) Since(counts []uint64) {
	for i, n := range l.Counts {
		if i < len(counts) && counts[i] >= n {
			counts[i] -= n
		}
	}
}

// ReadBaseline reads a cluster's, an empty one where it was never reset.
func ReadBaseline(store sharedstate.Store, cluster string) (l Baseline, err error) {
	_, err = sharedstate.NewCell(store, BaselineKey(cluster), &l).Load()
	return l, err
}

// SetBaseline makes these counts a cluster's new beginning.
func SetBaseline(store sharedstate.Store, cluster string, counts []uint64) error {
	var l Baseline
	_, err := sharedstate.NewCell(store, BaselineKey(cluster), &l).Update(func() bool {
		l.Counts = append(l.Counts[:0], counts...)
		return true
	})
	return err
}

// Carried is which reset of a cluster has been carried on to Redis, by Record.Resets: 4 bytes a cluster.
type Carried struct{ Resets uint32 }

// CarriedKey is where it is kept.
func CarriedKey(cluster string) string { return rowsKey + "/carried/" + cluster }

// AppendTo implements sharedstate.Packed. The packed form is a u32, little endian.
func (c *Carried) AppendTo(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, c.Resets) }

// Unpack implements sharedstate.Packed.
func (c *Carried) Unpack(b []byte) (ok bool) {
	*c = Carried{}
	if len(b) != 4 {
		return false
	}
	c.Resets = binary.LittleEndian.Uint32(b)
	return true
}

// Carry takes it on to carry a reset on to Redis: mine is true for one worker of all.
func Carry(store sharedstate.Store, cluster string, resets uint32) (mine bool, err error) {
	var there Carried
	_, err = sharedstate.NewCell(store, CarriedKey(cluster), &there).Update(func() bool {
		mine = there.Resets != resets
		there.Resets = resets
		return mine
	})
	return mine && err == nil, err
}

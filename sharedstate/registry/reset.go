package registry

import (
	"encoding/binary"

	"github.com/weir-mesh/weir/sharedstate"
)

// CountsAtReset is what a cluster's metrics had counted when an operator reset it. Metrics only grow, so the admin
// API shows what they counted since. The numbers are in the order in which the caller counts. A cluster that was ever
// reset takes 4 bytes and 8 for each count.
type CountsAtReset struct{ Counts []uint64 }

// MaxCounts bounds CountsAtReset.
const MaxCounts = 128

func countsKey(cluster string) string { return documentsKey + "/counts/" + cluster }

// countsVersion is the first byte of packed CountsAtReset. Bytes of another version are read as a cluster that was
// never reset.
const countsVersion = 3

// The packed form, little endian: u8 version, u8 0, u16 number of counts, u64 each.

// AppendTo implements sharedstate.Packed.
func (c *CountsAtReset) AppendTo(b []byte) []byte {
	counts := c.Counts[:min(len(c.Counts), MaxCounts)]
	b = append(b, countsVersion, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(counts)))
	for _, n := range counts {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}

// Unpack implements sharedstate.Packed.
func (c *CountsAtReset) Unpack(b []byte) (ok bool) {
	c.Counts = c.Counts[:0]
	if len(b) < 4 || b[0] != countsVersion || b[1] != 0 {
		return false
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	if n > MaxCounts || len(b) != 4+8*n {
		return false
	}
	for i := range n {
		c.Counts = append(c.Counts, binary.LittleEndian.Uint64(b[4+8*i:]))
	}
	return true
}

// SubtractFrom turns counts into what was counted since the reset, in place. A count that is lower than at the reset
// began anew (Envoy drops a counter that no VM holds) and stays as it is.
func (c *CountsAtReset) SubtractFrom(counts []uint64) {
	for i, n := range c.Counts {
		if i < len(counts) && counts[i] >= n {
			counts[i] -= n
		}
	}
}

// ReadCountsAtReset reads a cluster's counts, none where it was never reset.
func ReadCountsAtReset(store sharedstate.Store, cluster string) (c CountsAtReset, err error) {
	_, err = sharedstate.NewCell(store, countsKey(cluster), &c).Load()
	return c, err
}

// StoreCountsAtReset stores what a cluster's metrics have counted when it is reset.
func StoreCountsAtReset(store sharedstate.Store, cluster string, counts []uint64) error {
	var c CountsAtReset
	_, err := sharedstate.NewCell(store, countsKey(cluster), &c).Update(func() bool {
		c.Counts = append(c.Counts[:0], counts...)
		return true
	})
	return err
}

// sentReset is the last reset of a cluster that a worker claimed to send to Redis, by its number in Record.Resets.
type sentReset struct{ Resets uint32 }

func sentResetKey(cluster string) string { return documentsKey + "/reset/" + cluster }

// AppendTo implements sharedstate.Packed. The packed form is a u32, little endian.
func (r *sentReset) AppendTo(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, r.Resets) }

// Unpack implements sharedstate.Packed.
func (r *sentReset) Unpack(b []byte) (ok bool) {
	*r = sentReset{}
	if len(b) != 4 {
		return false
	}
	r.Resets = binary.LittleEndian.Uint32(b)
	return true
}

// ClaimReset makes one worker send a reset of a mesh limit to Redis: claimed is true for the first that asks with this
// number of resets.
func ClaimReset(store sharedstate.Store, cluster string, resets uint32) (claimed bool, err error) {
	var sent sentReset
	_, err = sharedstate.NewCell(store, sentResetKey(cluster), &sent).Update(func() bool {
		claimed = sent.Resets != resets
		sent.Resets = resets
		return claimed
	})
	return claimed && err == nil, err
}

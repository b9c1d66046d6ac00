package request

import (
	"encoding/binary"

	"github.com/dchest/siphash"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
)

// shownKeys is how operators see a cluster's keys.
//
//	key ── fingerprint ──► "weir key" and 16 bytes ── SipHash-2-4 under the process's 128 random bits ──► 64 bits, shown as hex
//
// Without those bits nobody can tell which key a hash is of, not even by trying all addresses or all keys of a list. So they
// can't be the fingerprint's: in scope mesh all proxies make it alike, and its seed is no secret.
type shownKeys struct {
	show  policy.ShowKeys
	seed  [2]uint64
	bytes [24]byte // that are hashed. Here since TinyGo would allocate them
}

// showsKeys reports whether the limit is by key and operators see its keys.
func (c *Cluster) showsKeys() bool { return c.key != nil && c.shown.show != policy.ShowOff }

// hashOfKey is what operators see of a key.
func (c *Cluster) hashOfKey(f sharedstate.Fingerprint) uint64 {
	s := &c.shown
	copy(s.bytes[:], "weir key")
	binary.LittleEndian.PutUint64(s.bytes[8:], f.Hi)
	binary.LittleEndian.PutUint64(s.bytes[16:], f.Lo)
	return siphash.Hash(s.seed[0], s.seed[1], s.bytes[:])
}

// textOfKey is what operators may see of the key that was hashed last, besides its hash.
func (c *Cluster) textOfKey() string {
	if !c.showsKeys() {
		return ""
	}
	return c.key.Text(c.shown.show == policy.ShowPlain)
}

func (r *Request) textOfKey() string {
	if !r.keyRead {
		return r.cluster.textOfKey()
	}
	return r.keyText
}

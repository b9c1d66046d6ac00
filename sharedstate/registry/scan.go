package registry

import (
	"encoding/binary"
	"errors"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
)

// Scan goes through the clusters of all documents that are in use, as they were when it began. It unpacks none: whoever
// wants 20 of 1,000 clusters, or has most of them unpacked already, pays only for the rest.
type Scan struct {
	Redis   bool // a document calls Redis
	LeftOut bool // some clusters did not fit

	acting bool // without clusters whose policy is off

	lists [][]byte        // entries with their sizes, those of the document that came last first
	seen  map[string]bool // clusters that were returned
	next  Packed          // what Next returns, nil at the end
}

// Packed is an Entry as it is stored.
type Packed []byte

// Cluster is the entry's cluster, nil where the bytes are no entry.
func (p Packed) Cluster() []byte {
	size, n := binary.Uvarint(p)
	if n <= 0 || size > uint64(len(p)-n) {
		return nil
	}
	return p[n : n+int(size)]
}

// isOff reports whether the cluster's policy is off.
func (p Packed) isOff() bool {
	var e Entry
	return e.Unpack(p) && e.Policy.Mode == policy.ModeOff
}

// NewScan begins a scan at time now.
func NewScan(store sharedstate.Store, now int64) (*Scan, error) { return newScan(store, now, false) }

// newScan begins a scan, of all clusters or of those alone for which a document has a policy that is not off.
func newScan(store sharedstate.Store, now int64, acting bool) (*Scan, error) {
	var documents documentTable
	if _, err := sharedstate.NewCell(store, documentsKey, &documents).Load(); err != nil {
		return nil, err
	}
	s := &Scan{acting: acting, seen: map[string]bool{}}
	for slot := documents.newest(now); slot >= 0; slot = documents.newest(now) {
		row := documents.rows[slot]
		documents.rows[slot] = documentRow{}
		s.Redis = s.Redis || row.redis
		value, _, err := store.Get(clustersKey(slot))
		if errors.Is(err, sharedstate.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var l clusterList
		if !l.Unpack(value) || l.claim != row.claim {
			continue
		}
		s.LeftOut = s.LeftOut || l.leftOut
		s.lists = append(s.lists, l.entries)
	}
	s.advance()
	return s, nil
}

// More reports whether Next returns another cluster.
func (s *Scan) More() bool { return s.next != nil }

// Count is how many clusters were returned, and the next one.
func (s *Scan) Count() int { return len(s.seen) }

// Has reports whether a cluster was returned, or is the next one.
func (s *Scan) Has(cluster string) bool { return s.seen[cluster] }

// Next returns each cluster once, in no particular order, and nil at the end. Where several documents have a cluster, it
// is the entry of the document that came last.
func (s *Scan) Next() Packed {
	next := s.next
	if next != nil {
		s.advance()
	}
	return next
}

// advance finds the next cluster. A list ends with the first entry that cannot be read.
func (s *Scan) advance() {
	for s.next = nil; len(s.lists) > 0; s.lists = s.lists[1:] {
		for rest := s.lists[0]; len(rest) >= 2; {
			size := int(binary.LittleEndian.Uint16(rest))
			if size > len(rest)-2 {
				break
			}
			packed := Packed(rest[2 : 2+size])
			name := packed.Cluster()
			if name == nil {
				break
			}
			rest = rest[2+size:]
			if !s.seen[string(name)] && (!s.acting || !packed.isOff()) {
				s.seen[string(name)] = true
				s.next, s.lists[0] = packed, rest
				return
			}
		}
	}
}

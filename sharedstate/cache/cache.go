package cache

import (
	"errors"

	"github.com/weir-mesh/weir/sharedstate"
)

// Bounds of the cache. See also MaxEntryBytes and MaxRows.
const (
	MaxBytes    = 64 << 20 // of all entries of all clusters together
	MaxEntries  = 4096     // of one cluster
	SegmentWays = 256      // entries that one index tells of
	MaxSegments = MaxEntries / SegmentWays
)

// RefreshEvery is how often an entry is stored anew, over all workers: once in so many nanoseconds.
const RefreshEvery int64 = 1e9

// looks is how often a reader looks for an entry that another worker is about to write.
const looks = 3

// Cache is one cluster's cache as one worker sees it. It keeps the buffers that it works with, so one goroutine uses it
// at a time; what it stores is in the store, and belongs to all.
type Cache struct {
	store    sharedstate.Store
	cluster  string
	name     []byte // the cluster's, as rows want it
	entries  int
	segments int
	budget   uint64 // MaxBytes; tests have less
	unit     uint64 // granule; tests have less
	reach    int    // MaxSegments; tests have less

	own        index // of the segment that Put works on
	other      index // of one that gives room, or is invalidated
	ledger     ledger
	ownCell    *sharedstate.Cell
	otherCell  *sharedstate.Cell
	ledgerCell *sharedstate.Cell

	ownFreed, otherFreed []uint16 // slots to empty once the index is swapped

	indexKeys []string
	slotKeys  [][]string // by segment and slot, made when first needed
	settled   bool
	recent    []recent // what was stored lately, by the key's lowest bits
}

// recent is an entry that this worker knows to have been stored.
type recent struct {
	key    sharedstate.Fingerprint
	stored int64
}

// New names a cluster's cache. It stores nothing yet. MaxEntries bounds maxEntries, and it is at least 1.
func New(store sharedstate.Store, cluster string, maxEntries int) *Cache {
	c := &Cache{
		store:   store,
		cluster: cluster,
		name:    []byte(cluster),
		entries: min(max(maxEntries, 1), MaxEntries),
		budget:  MaxBytes,
		unit:    granule,
		reach:   MaxSegments,
	}
	c.segments = (c.entries + SegmentWays - 1) / SegmentWays
	c.indexKeys = make([]string, c.segments)
	for s := range c.indexKeys {
		c.indexKeys[s] = IndexKey(cluster, s)
	}
	c.slotKeys = make([][]string, c.segments)
	c.ownCell = sharedstate.NewCell(store, "", &c.own)
	c.otherCell = sharedstate.NewCell(store, "", &c.other)
	c.ledgerCell = sharedstate.NewCell(store, LedgerKey, &c.ledger)
	return c
}

// Get finds a key's entry; its parts are places in the bytes that the store returned. An entry that is not all that the
// index says of it (another worker is about to write it, or didn't come to) is none.
func (c *Cache) Get(key sharedstate.Fingerprint) (e Entry, found bool, err error) {
	s := c.segment(key)
	for range looks {
		packed, _, err := c.store.Get(c.indexKeys[s])
		if err != nil {
			return Entry{}, false, faultOf(err)
		}
		w, found := lookup(packed, key)
		if !found {
			return Entry{}, false, nil
		}
		value, _, err := c.store.Get(c.slotKey(s, w.slot))
		if err = faultOf(err); err != nil {
			return Entry{}, false, err
		}
		if e, ok := Decode(value); ok && w.tells(&e, len(value)) {
			return e, true, nil
		}
	}
	return Entry{}, false, nil
}

// tells says whether the index means this entry.
func (w *way) tells(e *Entry, size int) bool {
	return w.key == e.Key && w.stored == e.Stored && w.path == e.Path && int(w.size) == size
}

// Due says whether a key's answer is to be stored again: no worker did within RefreshEvery. Ask before an answer is copied; on
// a path that is asked for often it costs no call of the store.
func (c *Cache) Due(key sharedstate.Fingerprint, now int64) (due bool, err error) {
	if r := c.recently(key); r.key == key && r.stored > 0 && young(r.stored, now) {
		return false, nil
	}
	packed, _, err := c.store.Get(c.indexKeys[c.segment(key)])
	if err = faultOf(err); err != nil {
		return false, err
	}
	w, found := lookup(packed, key)
	if !found || !young(w.stored, now) {
		return true, nil
	}
	*c.recently(key) = recent{key, w.stored}
	return false, nil
}

// young says whether what was stored is of the last second.
func young(stored, now int64) bool { return now-stored < RefreshEvery && !ahead(stored, now) }

// ahead says whether a time that was written down is of another clock, one that went on before this one began. It is not for a
// worker that stalled between its look at the clock and its look at the store, while others went on: none does for ten
// minutes.
func ahead(written, now int64) bool { return written-now > 600*RefreshEvery }

// recently is where this worker remembers a key.
func (c *Cache) recently(key sharedstate.Fingerprint) *recent {
	if c.recent == nil {
		n := 1
		for n < min(c.entries, SegmentWays) {
			n *= 2
		}
		c.recent = make([]recent, n)
	}
	return &c.recent[key.Lo&uint64(len(c.recent)-1)]
}

// segment is where a key's entry is.
func (c *Cache) segment(key sharedstate.Fingerprint) int { return int(key.Hi % uint64(c.segments)) }

// capacity is how many entries a segment has: the first ones take what is left over.
func (c *Cache) capacity(segment int) int {
	n := c.entries / c.segments
	if segment < c.entries%c.segments {
		n++
	}
	return n
}

func (c *Cache) slotKey(segment int, slot uint16) string {
	if c.slotKeys[segment] == nil {
		c.slotKeys[segment] = make([]string, SegmentWays)
	}
	key := &c.slotKeys[segment][slot]
	if *key == "" {
		*key = SlotKey(c.cluster, segment, int(slot))
	}
	return *key
}

// faultOf is an error of the store that is none of its outcomes: what is missing is empty.
func faultOf(err error) error {
	if errors.Is(err, sharedstate.ErrNotFound) {
		return nil
	}
	return err
}

// casOf is what a key's next Set must say.
func (c *Cache) casOf(key string) (cas uint32, err error) {
	_, cas, err = c.store.Get(key)
	if errors.Is(err, sharedstate.ErrNotFound) {
		return sharedstate.CreateCAS, nil
	}
	return cas, err
}

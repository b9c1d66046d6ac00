package cache

import (
	"errors"

	"github.com/weir-mesh/weir/sharedstate"
)

// Bounds of the cache. See also MaxEntryBytes and MaxRows.
const (
	MaxBytes    = 64 << 20 // of all entries of all clusters together
	MaxEntries  = 4096     // of one cluster
	SegmentWays = 256      // entries of one index
	MaxSegments = MaxEntries / SegmentWays
)

// RefreshEvery is the shortest time between two stores of one entry, over all workers, in nanoseconds.
const RefreshEvery int64 = 1e9

// maxReads is how often a reader tries to read an entry that another worker is about to write.
const maxReads = 3

// Cache is one worker's access to a cluster's cache. The entries are in the store, which all workers share. It keeps
// its buffers, so one goroutine uses it at a time.
type Cache struct {
	store    sharedstate.Store
	cluster  string
	name     []byte // the cluster's, as rows have it
	entries  int
	segments int
	budget   uint64 // MaxBytes, less in tests
	unit     uint64 // granule, less in tests
	reach    int    // MaxSegments, less in tests: the segments that Invalidate clears

	own        index // of the segment that Put works on
	other      index // of a segment that gives room, or is invalidated
	ledger     ledger
	marks      marks // as they were last loaded
	ownCell    *sharedstate.Cell
	otherCell  *sharedstate.Cell
	ledgerCell *sharedstate.Cell
	marksCell  *sharedstate.Cell

	ownFreed, otherFreed []uint16 // slots to empty after the swap of the index

	indexKeys []string
	slotKeys  [][]string // by segment and slot, made when first needed
	settled   bool       // settle has succeeded
	recent    []recent   // what was stored recently, by the key's lowest bits
}

// recent is an entry that this worker knows to have been stored.
type recent struct {
	key    sharedstate.Fingerprint
	stored int64
}

// New is a cluster's cache. It stores nothing yet. maxEntries is at least 1, and at most MaxEntries.
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
	c.marksCell = sharedstate.NewCell(store, MarksKey(cluster), &c.marks)
	return c
}

// Get finds a key's entry; its parts are slices of the bytes that the store returned. An entry that differs from its
// way in the index, because another worker is about to write it or crashed before, is not found.
func (c *Cache) Get(key sharedstate.Fingerprint) (e Entry, found bool, err error) {
	s := c.segment(key)
	for range maxReads {
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
		if e, ok := Decode(value); ok && w.matches(&e, len(value)) {
			return e, true, nil
		}
	}
	return Entry{}, false, nil
}

// Listed reports whether anything is kept under a key with the same Hi. It costs one read.
func (c *Cache) Listed(key sharedstate.Fingerprint) (bool, error) {
	packed, _, err := c.store.Get(c.indexKeys[c.segment(key)])
	return lists(packed, key.Hi), faultOf(err)
}

// matches says whether the way is that of this entry.
func (w *way) matches(e *Entry, size int) bool {
	return w.key == e.Key && w.stored == e.Stored && w.path == e.Path && int(w.size) == size
}

// Due says whether a key's response is to be stored: no worker did so within RefreshEvery. It is to be called before a
// response is copied. For a path with many requests it needs no call of the store.
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

// young says whether a time of storing is within RefreshEvery before now.
func young(stored, now int64) bool { return now-stored < RefreshEvery && !ahead(stored, now) }

// ahead says whether a stored time is of another clock, that of the machine before it restarted. Times that are less
// than ten minutes ahead are of a worker that stalled after it read the clock.
func ahead(stored, now int64) bool { return stored-now > 600*RefreshEvery }

// recently is the place in recent for a key.
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

// segment is the segment of a key's entry.
func (c *Cache) segment(key sharedstate.Fingerprint) int { return int(key.Hi % uint64(c.segments)) }

// capacity is how many entries a segment can have. The first segments take the remainder.
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

// faultOf is an error of the store other than ErrNotFound: what is missing is read as empty.
func faultOf(err error) error {
	if errors.Is(err, sharedstate.ErrNotFound) {
		return nil
	}
	return err
}

// casOf is the cas for a key's next Set.
func (c *Cache) casOf(key string) (cas uint32, err error) {
	_, cas, err = c.store.Get(key)
	if errors.Is(err, sharedstate.ErrNotFound) {
		return sharedstate.CreateCAS, nil
	}
	return cas, err
}

package sharedstate

// maxWays is how many keys a set has at most. A key overflows when its set is full. With 32 ways that happens in 1 of
// 10,000 sets while half of the table is in use, and in 1 of 10 at four fifths (Poisson). A set is copied for each
// request of a limit by key: its keys' states of 40 to 2,128 bytes each, for those that were in use at one time.
const maxWays = 32

// KeyTable keeps one state for each key of a cluster, in a set-associative table (as in a CPU's cache): a key belongs
// to one set, by its fingerprint, and a set is one record in the store. Keys whose set is full share one more state,
// the overflow.
//
//	fingerprint ── Lo mod sets ──► set 3: │ key a │ key b │ free │ … │ 32 ways
//	                                       full: the overflow state, shared by all keys that find no way
//
// Where a key is depends on the number of sets, so on maxKeys and on no other number of a policy: plugins of one cluster
// that hold different limits find the same keys.
//
// One goroutine uses a KeyTable at a time.
type KeyTable struct {
	cluster string
	sets    uint32
	names   []string // keys of the sets' records, made when first needed

	set, overflow         *KeySet
	setCell, overflowCell *Cell
}

// Slot is where Update found a key's state, for a later Change.
type Slot struct {
	Key      Fingerprint
	Overflow bool // in the state that overflowing keys share
}

// NewKeyTable is the table of a cluster with room for at least maxKeys keys. The room is a multiple of the ways of a set.
func NewKeyTable(store Store, cluster string, maxKeys int) *KeyTable {
	ways := max(min(maxWays, maxKeys), 1)
	t := &KeyTable{
		cluster:  cluster,
		sets:     uint32((maxKeys + ways - 1) / ways),
		set:      NewKeySet(ways),
		overflow: NewKeySet(1),
	}
	t.names = make([]string, t.sets)
	t.setCell = NewCell(store, "", t.set)
	t.overflowCell = NewCell(store, LimitKey(cluster, OverflowSet), t.overflow)
	return t
}

// Update changes the state of a key. A key without a way gets one whose state is idle: then it is empty. Change returns
// whether the state is to be stored, and may run several times, as in Cell.Update.
func (t *KeyTable) Update(
	key Fingerprint, idle func(state []byte) bool, change func(way *Way) (store bool),
) (at Slot, conflicts int, err error) {
	at.Key = key
	t.use(t.setOf(key))
	conflicts, err = t.setCell.Update(func() bool {
		way := t.set.Find(key, idle)
		if at.Overflow = way == nil; at.Overflow {
			return false
		}
		return change(way)
	})
	if err != nil || !at.Overflow {
		return at, conflicts, err
	}
	more, err := t.overflowCell.Update(func() bool { return change(t.overflowing()) })
	return at, conflicts + more, err
}

// overflowing is the way that overflowing keys share.
func (t *KeyTable) overflowing() *Way {
	return t.overflow.Find(Fingerprint{}, func([]byte) bool { return true })
}

// Change changes a state that Update found, if the way still is the key's.
func (t *KeyTable) Change(at Slot, change func(way *Way) (store bool)) (conflicts int, err error) {
	if at.Overflow {
		return t.overflowCell.Update(func() bool { return change(t.overflowing()) })
	}
	t.use(t.setOf(at.Key))
	return t.setCell.Update(func() bool {
		way := t.set.Has(at.Key)
		return way != nil && change(way)
	})
}

func (t *KeyTable) setOf(key Fingerprint) uint32 { return uint32(key.Lo % uint64(t.sets)) }

// use makes setCell the cell of one set.
func (t *KeyTable) use(set uint32) {
	if t.names[set] == "" {
		t.names[set] = LimitKey(t.cluster, set)
	}
	t.setCell.Move(t.names[set])
}

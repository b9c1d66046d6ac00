package sharedstate

// maxWays is how many keys a set has at most. A key overflows when its set is full. With 32 ways that happens in 1 of
// 10,000 sets while half of the table is in use, and in 1 of 10 at four fifths (Poisson). A set is copied for each
// request of a limit by key: its keys' states of 48 to 2,128 bytes each, for those that were in use at one time.
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

	// The change that runs, and the Changes of the two cells that make it. All of it is here since each request makes one:
	// TinyGo allocates what a function literal captures.
	key                       Fingerprint
	states                    KeyStates
	takes                     bool // a key without a way gets one
	overflows                 bool // the set has no way for the key
	changeSet, changeOverflow Change
}

// KeyStates are what a limit makes of the states of its keys.
type KeyStates interface {
	// Idle reports whether a state is as good as a fresh one, so that another key may have its way.
	Idle(state []byte) bool
	// Change changes a way's state, empty where it is the key's first, and returns whether it is to be stored. It may run several
	// times for one change, as in Cell.Update.
	Change(way *Way) (store bool)
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
	t.changeSet, t.changeOverflow = &setChange{t}, &overflowChange{t}
	return t
}

// Update changes the state of a key. A key without a way gets one whose state is idle: then it is empty.
func (t *KeyTable) Update(key Fingerprint, states KeyStates) (at Slot, conflicts int, err error) {
	t.key, t.states, t.takes, t.overflows = key, states, true, false
	t.use(t.setOf(key))
	conflicts, err = t.setCell.Apply(t.changeSet)
	at = Slot{Key: key, Overflow: t.overflows}
	if err != nil || !at.Overflow {
		return at, conflicts, err
	}
	more, err := t.overflowCell.Apply(t.changeOverflow)
	return at, conflicts + more, err
}

// Change changes a state that Update found, if the way still is the key's.
func (t *KeyTable) Change(at Slot, states KeyStates) (conflicts int, err error) {
	t.key, t.states, t.takes = at.Key, states, false
	if at.Overflow {
		return t.overflowCell.Apply(t.changeOverflow)
	}
	t.use(t.setOf(at.Key))
	return t.setCell.Apply(t.changeSet)
}

type setChange struct{ *KeyTable }

// Apply implements Change.
func (t *setChange) Apply() Effect {
	way := t.set.Has(t.key)
	if way == nil && t.takes {
		way = t.set.Take(t.key, t.states)
	}
	t.overflows = way == nil
	if way == nil || !t.states.Change(way) {
		return Dropped
	}
	return Changed
}

type overflowChange struct{ *KeyTable }

// Apply implements Change.
func (t *overflowChange) Apply() Effect {
	if len(t.overflow.Ways) == 0 {
		t.overflow.Ways = append(t.overflow.Ways, Way{})
	}
	way := &t.overflow.Ways[0] // all keys that overflow share it
	if way.Key != (Fingerprint{}) {
		*way = Way{}
	}
	if !t.states.Change(way) {
		return Dropped
	}
	return Changed
}

func (t *KeyTable) setOf(key Fingerprint) uint32 { return uint32(key.Lo % uint64(t.sets)) }

// use makes setCell the cell of one set.
func (t *KeyTable) use(set uint32) {
	if t.names[set] == "" {
		t.names[set] = LimitKey(t.cluster, set)
	}
	t.setCell.Move(t.names[set])
}

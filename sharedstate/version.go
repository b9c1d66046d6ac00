package sharedstate

// Version is a number that grows each time the value of one key is set, by whoever sets it. Reading it costs 840
// instructions, getting 96 bytes 6,000: so a worker keeps what it got until the number has changed.
//
//	one worker            another one
//	set                   read: as before, what it kept is used: the value of a moment ago
//	raise                 read: it has grown, the value is got again
//
// A worker that crashes between the two leaves the others with what they kept, until somebody sets the value again, or
// Cell.Load is called, which always gets it: the publisher does once a second. What they set meanwhile mismatches.
type Version interface {
	// Read returns the number. ok is false where none is known: then nothing is kept.
	Read() (number uint64, ok bool)
}

// Versioned is a Store that has versions, and raises them at each Set.
type Versioned interface {
	Store
	// Version is that of a key, nil where it has none.
	Version(key string) Version
}

// Kept is a Packed that can be kept: what it refers to of the bytes that it was unpacked from can be moved.
type Kept interface {
	Packed
	// Rebase makes all that the record refers to parts of b, into which it was just packed.
	Rebase(b []byte)
}

// NewKeptCell is the cell of a key whose record is kept until somebody changes it, where the store has versions.
func NewKeptCell(store Store, key string, record Kept) *Cell {
	c := NewCell(store, key, record)
	if s, ok := store.(Versioned); ok {
		c.kept = kept{version: s.Version(key), record: record}
	}
	return c
}

// kept is what a cell knows of the stored record. The zero value keeps nothing.
type kept struct {
	version Version
	record  Kept
	bytes   []byte // that the record was unpacked from, or packed into
	number  uint64 // the version's, when current
	current bool   // the cell's record is the stored one, as of number
	cas     uint32 // of the stored record; 0: not known
	guessed bool   // cas is a guess
	wary    uint8  // how many of the next stores are not followed by a guess
}

// read reads the version.
func (k *kept) read() (number uint64, ok bool) {
	if k.version == nil {
		return 0, false
	}
	return k.version.Read()
}

// isCurrent reports whether the cell's record is the stored one.
func (k *kept) isCurrent() bool {
	if !k.current {
		return false
	}
	number, ok := k.version.Read()
	k.current = ok && number == k.number
	return k.current
}

// keep notes what was loaded, and returns a copy of it: the host's memory does not last.
func (k *kept) keep(value []byte, number uint64, cas uint32) []byte {
	k.bytes = append(k.bytes[:0], value...)
	k.number, k.cas, k.guessed, k.current = number, cas, false, true
	return k.bytes
}

// stored notes that the record was packed into b and stored with this cas, and returns other bytes for the next time.
//
// Set does not tell the new cas. All keys take theirs from one counter, so where nobody set anything since the cas that
// was known, it is the next number. That is a guess, and a safe one: a Set with it succeeds only if the value is still
// the one that was stored here, since no other Set of this key can have got that number.
func (k *kept) stored(b []byte, cas uint32) (other []byte) {
	other, k.bytes = k.bytes, b
	k.record.Rebase(b)
	k.number++ // by this worker's Set. If another one raised it, too, the record is loaded again
	k.cas, k.guessed = 0, true
	switch {
	case k.wary > 0:
		k.wary--
	case cas < CreateCAS-1: // not CreateCAS, nor 0, with which Set overwrites
		k.cas = cas + 1
	}
	return other
}

// failed notes that a guess was wrong: other keys, or other workers, set values in between. They will again.
func (k *kept) failed() { k.wary = 32 }

package sharedstate

import (
	"errors"
	"slices"
)

// Clear frees all ways of all sets, and the overflow. Sets that only an earlier policy with more keys used stay.
func (t *KeyTable) Clear() (err error) {
	for set := range t.sets {
		t.use(set)
		err = errors.Join(err, clearSet(t.setCell, t.set))
	}
	return errors.Join(err, clearSet(t.overflowCell, t.overflow))
}

// clearSet stores the set only where a way is in use.
func clearSet(cell *Cell, set *KeySet) error {
	_, err := cell.Update(func() (used bool) {
		for i := range set.Ways {
			w := &set.Ways[i]
			used = used || w.Key != (Fingerprint{}) || slices.ContainsFunc(w.State, func(b byte) bool { return b != 0 })
			w.Key = Fingerprint{}
			clear(w.State)
		}
		return used
	})
	return err
}

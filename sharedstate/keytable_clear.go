package sharedstate

import "errors"

// Clear frees all ways of all sets, and the overflow. Sets that only an earlier policy with more keys used stay.
func (t *KeyTable) Clear() (err error) {
	for set := range t.sets {
		t.use(set)
		err = errors.Join(err, clearSet(t.setCell, t.set))
	}
	return errors.Join(err, clearSet(t.overflowCell, t.overflow))
}

// clearSet stores the set only where it has keys.
func clearSet(cell *Cell, set *KeySet) error {
	_, err := cell.Update(func() (used bool) {
		used = len(set.Ways) > 0
		set.Ways = set.Ways[:0]
		return used
	})
	return err
}

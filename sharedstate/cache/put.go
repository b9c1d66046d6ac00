package cache

import (
	"cmp"
	"errors"
	"slices"

	"github.com/weir-mesh/weir/sharedstate"
)

// Put stores an entry whose body is complete; it writes the length of all and the check into its head. Its request began at begun, and it
// was complete at now (nanoseconds, monotonic). stored is false, without an error, where
//
//   - another response for the same key was stored within RefreshEvery before it, or came later than it;
//   - its path or key, or the whole cluster, was invalidated since the request began, or at the same time;
//   - it is too large, or there is no room for it;
//   - its bytes are not an entry, or its times are not in order: begun <= Stored <= now;
//   - another worker dropped it before it was written.
//
// If stored is true beside an error, the memory of entries that it replaced is not free yet. conflicts counts the
// changes by other workers meanwhile.
func (c *Cache) Put(entry []byte, begun, now int64) (stored bool, conflicts int, err error) {
	return c.put(entry, begun, now, nothing)
}

// Replace stores an entry in place of one that was read, stored at was. It is Put, but that entry has to be listed still, and then
// invalidations since the request began do not matter: they were of others.
func (c *Cache) Replace(entry []byte, was, begun, now int64) (stored bool, conflicts int, err error) {
	return c.put(entry, begun, now, was)
}

// nothing is the time of storing of what an entry replaces, where it need replace none.
const nothing = -1

func (c *Cache) put(entry []byte, begun, now, replaced int64) (stored bool, conflicts int, err error) {
	e, ok := seal(entry)
	if !ok || begun > e.Stored || e.Stored > now {
		return false, 0, nil
	}
	if !c.settled {
		if conflicts, err = c.settle(); err != nil {
			return false, conflicts, err
		}
	}
	s := c.segment(e.Key)
	w := way{key: e.Key, stored: e.Stored, path: e.Path, size: uint32(len(entry))}
	c.ownCell.Move(c.indexKeys[s])
	for tries := 0; tries < sharedstate.MaxSwaps; tries++ {
		cas, err := c.ownCell.Load()
		if err != nil {
			return false, conflicts, err
		}
		if refused, err := c.refuses(&w, cas, begun, now, replaced); refused || err != nil {
			return false, conflicts, err
		}
		w.slot, c.ownFreed = c.own.put(w, c.capacity(s), c.ownFreed[:0])
		more, fits, err := c.makeRoom(s, &w, now)
		conflicts += more
		if err != nil || !fits {
			return false, conflicts, err
		}
		key := c.slotKey(s, w.slot)
		slotCAS, err := c.casOf(key)
		if err != nil {
			return false, conflicts, err
		}
		err = c.ownCell.Swap(cas)
		if err == nil && replaced == nothing {
			if gone, err := c.invalidated(&w, begun, now); gone {
				return false, conflicts, cmp.Or(err, c.takeBack(s, w))
			}
		}
		if err == nil {
			stored, more, err := c.fill(s, &w, key, slotCAS, entry)
			return stored, conflicts + more, cmp.Or(err, c.empty(c.cluster, s, c.ownFreed))
		}
		if !errors.Is(err, sharedstate.ErrMismatch) {
			return false, conflicts, err
		}
		conflicts++
	}
	return false, conflicts, sharedstate.ErrContended
}

// refuses says whether the own index, loaded with cas, takes no entry w of a request that began at begun, in place of one that was
// stored at replaced.
func (c *Cache) refuses(w *way, cas uint32, begun, now, replaced int64) (refused bool, err error) {
	if ahead(c.own.notBefore, now) { // of another clock: it would refuse for ever
		c.own.refuse(now)
		if err := c.ownCell.Swap(cas); err != nil && !errors.Is(err, sharedstate.ErrMismatch) {
			return true, err
		}
		return true, nil
	}
	had := c.own.find(w.key)
	if replaced == nothing && begun <= c.own.notBefore || replaced != nothing && (had == nil || had.stored != replaced) {
		return true, nil
	}
	if replaced == nothing && c.marks.refuses(w, begun, now) { // as they were when this worker read them last
		return true, nil
	}
	if had != nil && !ahead(had.stored, now) && w.stored-had.stored < RefreshEvery {
		*c.recently(w.key) = recent{w.key, had.stored}
		return true, nil
	}
	return false, nil
}

// invalidated reports whether a way that was added to its index just now, and has no value yet, has to go again: its path or key
// was invalidated since its request began. An invalidation that is not marked yet will find it in the index.
func (c *Cache) invalidated(w *way, begun, now int64) (bool, error) {
	_, err := c.marksCell.Load()
	return err != nil || c.marks.refuses(w, begun, now), err
}

// takeBack removes such a way, and frees the slots of those that it replaced.
func (c *Cache) takeBack(segment int, w way) error {
	freed := slices.Clone(c.ownFreed)
	_, err := c.ownCell.Update(func() bool {
		c.ownFreed = c.own.dropWhere(func(other *way) bool { return *other == w }, c.ownFreed[:0])
		return len(c.ownFreed) > 0
	})
	if err == nil {
		freed = append(freed, c.ownFreed...)
	}
	return cmp.Or(err, c.empty(c.cluster, segment, freed))
}

// fill writes the value of a way that the index lists since the swap. The slot's cas is from before the swap. So a
// mismatch means that another worker wrote to the slot meanwhile: it was late with an entry that is gone, or it emptied
// the slot. The way may be gone too; then the value must not be written, since no worker would ever empty the slot.
func (c *Cache) fill(
	segment int, w *way, key string, cas uint32, entry []byte,
) (stored bool, conflicts int, err error) {
	for ; conflicts < sharedstate.MaxSwaps; conflicts++ {
		err = c.store.Set(key, entry, cas)
		if err == nil {
			*c.recently(w.key) = recent{w.key, w.stored}
			return true, conflicts, nil
		}
		if !errors.Is(err, sharedstate.ErrMismatch) {
			return false, conflicts, err
		}
		if cas, err = c.casOf(key); err != nil {
			return false, conflicts, err
		}
		packed, _, err := c.store.Get(c.indexKeys[segment])
		if err = faultOf(err); err != nil {
			return false, conflicts, err
		}
		if listed, found := lookup(packed, w.key); !found || listed != *w {
			return false, conflicts + 1, nil
		}
	}
	return false, conflicts, sharedstate.ErrContended
}

// empty frees the memory of slots that an index listed until now. That changes the cas of each, so that a worker that
// added its entry before, and writes it only now, has a mismatch.
func (c *Cache) empty(cluster string, segment int, slots []uint16) (err error) {
	for _, slot := range slots {
		failed := c.emptySlot(IndexKey(cluster, segment), SlotKey(cluster, segment, int(slot)), slot)
		err = cmp.Or(err, failed)
	}
	return err
}

func (c *Cache) emptySlot(indexKey, slotKey string, slot uint16) error {
	for range sharedstate.MaxSwaps {
		cas, err := c.casOf(slotKey)
		if err != nil {
			return err
		}
		packed, _, err := c.store.Get(indexKey)
		if err = faultOf(err); err != nil {
			return err
		}
		if slotTaken(packed, slot) { // by another entry, which will overwrite it
			return nil
		}
		err = c.store.Set(slotKey, nil, cas)
		if !errors.Is(err, sharedstate.ErrMismatch) {
			return err
		}
	}
	return sharedstate.ErrContended
}

package cache

import (
	"cmp"
	"slices"

	"github.com/weir-mesh/weir/sharedstate"
)

// Invalidate drops all entries of the cluster. Responses to requests that began by now are not stored any more.
//
// After an error some entries may be left, or their memory is not free yet: call it again.
func (c *Cache) Invalidate(now int64) error {
	return c.invalidate(now, func(freed []uint16) []uint16 { return c.other.shrink(0, noSlot, freed) })
}

// InvalidatePath drops the cluster's entries with a path (Meta.Path), whatever their query, also those of other policies' segments.
// Responses to requests that began by now are not stored any more, whatever their path. Errors are as for Invalidate.
func (c *Cache) InvalidatePath(path uint64, now int64) error {
	return c.invalidate(now, func(freed []uint16) []uint16 { return c.other.dropPath(path, freed) })
}

// invalidate changes all segments that a cluster may have: a worker with another policy may be about to write to one
// that this policy has no use for.
func (c *Cache) invalidate(now int64, drop func(freed []uint16) []uint16) (err error) {
	note := func(failed error) {
		if err == nil {
			err = failed
		}
	}
	clear(c.recent)
	for s := range c.reach {
		c.otherCell.Move(IndexKey(c.cluster, s))
		_, failed := c.otherCell.Update(func() bool {
			c.otherFreed = drop(c.otherFreed[:0])
			c.other.refuse(now)
			return true
		})
		note(failed)
		if failed == nil {
			note(c.empty(c.cluster, s, c.otherFreed))
		}
	}
	_, failed := c.giveBack(func(*row) (bytes uint64, concerned bool) { return all, true })
	note(failed)
	return err
}

// Remove drops the entries of some keys, which have the same Hi, and reports whether there was one. Where there is none it costs
// one read. Else responses to requests for keys with that Hi that began by now are not stored any more. Errors are as for
// Invalidate.
func (c *Cache) Remove(keys []sharedstate.Fingerprint, now int64) (dropped bool, err error) {
	match := func(w *way) bool { return slices.Contains(keys, w.key) }
	s := c.segment(keys[0])
	if listed, err := c.listsAny(s, match); !listed || err != nil {
		return false, err
	}
	if err := c.mark(keys[0].Hi, now, match); err != nil {
		return false, err
	}
	return c.dropListed(s, match)
}

// RemovePath drops the entries with a path (Meta.Path), whatever their query, and reports whether there was one. Responses to
// requests for the path that began by now are not stored any more. It writes the marks, and the segments that have such an entry;
// else it costs a read of each segment, of which a cluster has one for each SegmentWays entries. Errors are as for Invalidate.
func (c *Cache) RemovePath(path uint64, now int64) (dropped bool, err error) {
	match := func(w *way) bool { return w.path == path }
	if err := c.mark(path, now, match); err != nil {
		return false, err
	}
	for s := range c.segments {
		one, failed := c.dropListed(s, match)
		dropped, err = dropped || one, cmp.Or(err, failed)
	}
	return dropped, err
}

// mark notes that the entries which match are invalid, before they are dropped. Where it can't, all segments are changed, which
// refuse all responses to requests that began by now.
func (c *Cache) mark(hash uint64, now int64, match func(*way) bool) error {
	_, err := c.marksCell.Update(func() bool {
		c.marks.add(hash, now)
		return true
	})
	if err == nil {
		return nil
	}
	return cmp.Or(c.invalidate(now, func(freed []uint16) []uint16 { return c.other.dropWhere(match, freed) }), err)
}

// listsAny reports whether a segment has a way that matches.
func (c *Cache) listsAny(segment int, match func(*way) bool) (bool, error) {
	c.otherCell.Move(c.indexKeys[segment])
	if _, err := c.otherCell.Load(); err != nil {
		return false, err
	}
	return slices.ContainsFunc(c.other.ways, func(w way) bool { return match(&w) }), nil
}

// dropListed drops the ways of a segment that match, and reports whether there was one. It writes only where there is.
func (c *Cache) dropListed(segment int, match func(*way) bool) (dropped bool, err error) {
	c.otherCell.Move(c.indexKeys[segment])
	_, err = c.otherCell.Update(func() bool {
		c.otherFreed = c.other.dropWhere(match, c.otherFreed[:0])
		return len(c.otherFreed) > 0
	})
	if err != nil || len(c.otherFreed) == 0 {
		return false, err
	}
	clear(c.recent)
	return true, c.empty(c.cluster, segment, c.otherFreed)
}

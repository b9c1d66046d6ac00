package bulkhead

import (
	"math"
	"time"
)

// MaxOwners is the largest number of owners that a State holds.
const MaxOwners = 256

// Config is what a bulkhead is told by its policy, and how soon a silent worker is taken for dead.
type Config struct {
	Max    uint32        // requests at a time, over all owners, at least 1
	Expiry time.Duration // an owner's share counts for this long after its last sign of life
}

// Owner is one worker's share.
type Owner struct {
	ID    uint32
	Count uint32 // requests that run, at least 1
	Beat  int64  // its last sign of life, nanoseconds of a monotonic clock
}

// State is one bulkhead. The zero State is a fresh one. Its methods work on Owners in place, which allocates nothing
// once the slice has grown.
type State struct {
	Owners []Owner // in no order, at most MaxOwners
}

// Verdict is the answer to Acquire.
type Verdict uint8

// The answers.
const (
	Acquired Verdict = iota // store the state
	Full                    // Max run
	NoRoom                  // MaxOwners others hold something
)

// Acquire asks for one request of an owner at time now. A refusal, by Full or NoRoom, changes nothing that must be
// stored.
func (s *State) Acquire(c Config, owner uint32, now int64) Verdict {
	mine := s.find(owner)
	if mine >= 0 {
		s.Owners[mine].Beat = now // it asks, so it lives, however long it was silent
	}
	s.drop(c, now)
	if s.Running(c, now) >= c.Max {
		return Full
	}
	if mine = s.find(owner); mine >= 0 {
		s.Owners[mine].Count++ // all that run are below Max, so it does not overflow
		return Acquired
	}
	if !s.add(owner, 1, now) {
		return NoRoom
	}
	return Acquired
}

// Release gives one request of an owner back. It reports whether the state changed and must be stored: an owner that
// was dropped meanwhile has nothing to give back.
func (s *State) Release(owner uint32, now int64) (changed bool) {
	i := s.find(owner)
	if i < 0 {
		return false
	}
	return s.Beat(owner, s.Owners[i].Count-1, now)
}

// Beat says that an owner is alive and how many of its requests truly run. It reports whether the state changed and must
// be stored. Where the owner is not in the list any more, and there is no room for it, it is left out: its next Beat
// tries again.
func (s *State) Beat(owner, count uint32, now int64) (changed bool) {
	i := s.find(owner)
	switch {
	case i < 0:
		return count > 0 && s.add(owner, count, now)
	case count == 0:
		s.remove(i)
	default:
		s.Owners[i].Count, s.Owners[i].Beat = count, now
	}
	return true
}

// Running is how many requests the owners that are alive hold, at time now.
func (s *State) Running(c Config, now int64) uint32 {
	sum := uint64(0)
	for i := range s.Owners {
		if s.Owners[i].alive(c, now) {
			sum += uint64(s.Owners[i].Count)
		}
	}
	return uint32(min(sum, math.MaxUint32))
}

// alive says whether an owner's share still counts. A sign of life that is a little later than now is another worker's
// reading of the clock; one that is later by more than Expiry is of another clock.
func (o *Owner) alive(c Config, now int64) bool {
	silent := now - o.Beat
	return silent <= int64(c.Expiry) && silent >= -int64(c.Expiry)
}

// drop takes the dead out of the list.
func (s *State) drop(c Config, now int64) {
	for i := len(s.Owners) - 1; i >= 0; i-- {
		if !s.Owners[i].alive(c, now) {
			s.remove(i)
		}
	}
}

func (s *State) find(owner uint32) int {
	for i := range s.Owners {
		if s.Owners[i].ID == owner {
			return i
		}
	}
	return -1
}

func (s *State) add(owner, count uint32, now int64) (ok bool) {
	if len(s.Owners) >= MaxOwners {
		return false
	}
	s.Owners = append(s.Owners, Owner{ID: owner, Count: count, Beat: now})
	return true
}

func (s *State) remove(i int) {
	last := len(s.Owners) - 1
	s.Owners[i] = s.Owners[last]
	s.Owners = s.Owners[:last]
}

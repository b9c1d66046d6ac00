package bulkhead

import (
	"math"
	"time"
)

// MaxOwners is the largest number of owners in a State.
const MaxOwners = 256

// Config is what the policy says of a bulkhead, and how soon a silent worker counts as dead.
type Config struct {
	Max    uint32        // requests at a time, over all owners, at least 1
	Expiry time.Duration // an owner's share counts for this long after its last heartbeat
}

// Owner is one worker's share.
type Owner struct {
	ID        uint32
	Count     uint32 // running requests, at least 1
	Heartbeat int64  // the time of its last change or heartbeat, nanoseconds of a monotonic clock
}

// State is one bulkhead. The zero State is a fresh one. Its methods change Owners in place and allocate only when the
// slice grows.
type State struct {
	Owners []Owner // in any order, at most MaxOwners
}

// Verdict is the result of Acquire.
type Verdict uint8

// The verdicts.
const (
	Acquired      Verdict = iota // the state changed and must be stored
	Full                         // Max requests are running
	TooManyOwners                // MaxOwners other owners have running requests
)

// Shown are the numbers of running requests that owners show outside of the state, where all can read them at once. Those
// of the state are only as new as the owner's last change of it.
type Shown interface {
	// Of is how many requests of an owner run. ok is false where it shows none: the state's number counts.
	Of(owner uint32) (running uint32, ok bool)
}

// Enter asks for one more request of an owner that shows its number, at time now. It shows so many already, the new one
// included: of two owners who ask at once, at least one sees the other's. It reports whether the state changed and must be
// stored: that is where the owner is not in it, or was silent for half of Expiry. Refused, it has to show one less again.
func (s *State) Enter(c Config, shown Shown, owner, running uint32, now int64) (v Verdict, changed bool) {
	mine := s.find(owner)
	if silent := mine < 0 || now-s.Owners[mine].Heartbeat > int64(c.Expiry)/2; silent || !s.Owners[mine].alive(c, now) {
		if mine >= 0 {
			s.Owners[mine].Heartbeat = now
		}
		s.drop(c, now)
		if mine < 0 && !s.add(owner, running, now) {
			return TooManyOwners, false
		}
		changed = true
	}
	if s.others(c, shown, owner, now)+uint64(running) > uint64(c.Max) {
		return Full, false
	}
	return Acquired, changed
}

// others is the number of running requests of all other owners that are alive at time now.
func (s *State) others(c Config, shown Shown, owner uint32, now int64) (sum uint64) {
	for i := range s.Owners {
		o := &s.Owners[i]
		if o.ID == owner || !o.alive(c, now) {
			continue
		}
		n := o.Count
		if shown != nil {
			if of, ok := shown.Of(o.ID); ok {
				n = of
			}
		}
		sum += uint64(n)
	}
	return sum
}

// Acquire adds one request of an owner at time now. Full and TooManyOwners are refusals: nothing must be stored.
func (s *State) Acquire(c Config, owner uint32, now int64) Verdict {
	mine := s.find(owner)
	if mine >= 0 {
		s.Owners[mine].Heartbeat = now // it is alive, however long it was silent
	}
	s.drop(c, now)
	if s.Running(c, now) >= c.Max {
		return Full
	}
	if mine = s.find(owner); mine >= 0 {
		s.Owners[mine].Count++ // can't overflow: Running is less than Max
		return Acquired
	}
	if !s.add(owner, 1, now) {
		return TooManyOwners
	}
	return Acquired
}

// Release removes one request of an owner. It reports whether the state changed and must be stored: an owner that was
// dropped meanwhile has none to remove.
func (s *State) Release(owner uint32, now int64) (changed bool) {
	i := s.find(owner)
	if i < 0 {
		return false
	}
	return s.Heartbeat(owner, s.Owners[i].Count-1, now)
}

// Heartbeat records that an owner is alive and how many of its requests are running. It reports whether the state
// changed and must be stored. An owner that is no longer in the list is added again; if the list is full, its next
// Heartbeat tries again.
func (s *State) Heartbeat(owner, count uint32, now int64) (changed bool) {
	i := s.find(owner)
	switch {
	case i < 0:
		return count > 0 && s.add(owner, count, now)
	case count == 0:
		s.remove(i)
	default:
		s.Owners[i].Count, s.Owners[i].Heartbeat = count, now
	}
	return true
}

// RunningShown is Running where owners show their numbers. Shown may be nil.
func (s *State) RunningShown(c Config, shown Shown, now int64) uint32 {
	const nobody = 0 // ids begin at 1
	return uint32(min(s.others(c, shown, nobody, now), math.MaxUint32))
}

// Running is the number of running requests of all owners that are alive at time now, by the state alone.
func (s *State) Running(c Config, now int64) uint32 {
	sum := uint64(0)
	for i := range s.Owners {
		if s.Owners[i].alive(c, now) {
			sum += uint64(s.Owners[i].Count)
		}
	}
	return uint32(min(sum, math.MaxUint32))
}

// alive reports whether an owner's share still counts. A heartbeat a little later than now is another worker's reading
// of the clock; one that is later by more than Expiry is of another clock.
func (o *Owner) alive(c Config, now int64) bool {
	silent := now - o.Heartbeat
	return silent <= int64(c.Expiry) && silent >= -int64(c.Expiry)
}

// drop removes dead owners from the list.
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
	s.Owners = append(s.Owners, Owner{ID: owner, Count: count, Heartbeat: now})
	return true
}

func (s *State) remove(i int) {
	last := len(s.Owners) - 1
	s.Owners[i] = s.Owners[last]
	s.Owners = s.Owners[:last]
}

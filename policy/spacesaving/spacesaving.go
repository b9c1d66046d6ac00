// Package spacesaving finds the most frequent keys of a stream in bounded memory, by the algorithm of that name (Metwally,
// Agrawal and El Abbadi, 2005):
//
//	known key       its count + 1
//	free entry      1
//	else            takes the entry with the lowest count n, as n + 1 of which n may be other keys'
//
// So a count is never too low, and by Over at most too high. A key that is more than a sixteenth of the stream has an entry,
// whatever the other keys are; of at most 16 keys all counts are exact.
package spacesaving

import (
	"math"

	"github.com/weir-mesh/weir/policy/heapsort"
)

// Entries is how many keys a Sketch keeps.
const Entries = 16

// Sketch counts keys. The zero Sketch has counted nothing. (Its entries are a slice, since TinyGo copies an array by an
// instruction for each field.)
type Sketch struct{ entries []Entry }

// Entry is a key with its count. Text is what its caller says about the key.
type Entry struct {
	Key         uint64
	Count, Over uint32 // the true count is from Count-Over to Count
	Text        string
}

// Keys are the keys with an entry, valid until the sketch changes. After a Merge the most frequent are first.
func (s *Sketch) Keys() []Entry { return s.entries }

// Reset forgets all keys.
func (s *Sketch) Reset() { s.entries = s.entries[:0] }

// Add counts one more of a key.
func (s *Sketch) Add(key uint64, text string) {
	i := s.index(key)
	switch {
	case i >= 0:
	case len(s.entries) < Entries:
		if s.entries == nil {
			s.entries = make([]Entry, 0, Entries)
		}
		i = len(s.entries)
		s.entries = append(s.entries, Entry{Key: key, Text: text})
	default:
		i = s.lowest()
		e := &s.entries[i]
		e.Key, e.Text, e.Over = key, text, e.Count
	}
	s.entries[i].add(1, 0)
}

// Merge adds what another sketch has counted. A key that only one of them has may have been counted by the other as often as
// its lowest entry says (Agarwal and others: Mergeable Summaries, 2012).
func (s *Sketch) Merge(o *Sketch) {
	mine, others := s.missed(), o.missed()
	all := append(make([]Entry, 0, 2*Entries), s.entries...)
	for i := range all {
		if o.index(all[i].Key) < 0 {
			all[i].add(others, others)
		}
	}
	for i := range o.entries {
		e := &o.entries[i]
		at := s.index(e.Key)
		if at < 0 {
			at = len(all)
			all = append(all, Entry{Key: e.Key, Count: mine, Over: mine})
		}
		all[at].add(e.Count, e.Over)
		if e.Text != "" {
			all[at].Text = e.Text
		}
	}
	heapsort.Sort(len(all), func(i, j int) bool { return all[i].Count > all[j].Count }, func(i, j int) { all[i], all[j] = all[j], all[i] })
	s.entries = all[:min(len(all), Entries)]
}

// Put appends an entry that was read from a store. It is dropped where there is no room.
func (s *Sketch) Put(e Entry) {
	if len(s.entries) < Entries {
		s.entries = append(s.entries, e)
	}
}

// add stays at the greatest numbers.
func (e *Entry) add(count, over uint32) {
	e.Count += min(count, math.MaxUint32-e.Count)
	e.Over += min(over, math.MaxUint32-e.Over)
}

// missed is how often a key without an entry may have been counted.
func (s *Sketch) missed() uint32 {
	if len(s.entries) < Entries {
		return 0
	}
	return s.entries[s.lowest()].Count
}

func (s *Sketch) index(key uint64) int {
	for i := range s.entries {
		if s.entries[i].Key == key {
			return i
		}
	}
	return -1
}

func (s *Sketch) lowest() (least int) {
	for i := range s.entries {
		if s.entries[i].Count < s.entries[least].Count {
			least = i
		}
	}
	return least
}

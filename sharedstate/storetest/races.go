package storetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"sync"

	"github.com/weir-mesh/weir/sharedstate"
)

// Race is a property of a store that shows only when several callers use it at one time: goroutines, or the workers of
// an Envoy. Each caller runs Step, under a name of its own, as often as it likes; when the last one is done, Check
// holds what they say against what the store holds.
//
// A Race that nobody lost was none: callers look at the scores, and try again with another prefix.
type Race struct {
	Name  string
	Step  func(s sharedstate.Store, prefix, caller string) (Score, error)
	Check func(s sharedstate.Store, prefix string, scores map[string]Score) error
}

// Score is what became of one caller's sets, over all its steps.
type Score struct {
	Won  int // a set that succeeded
	Lost int // a mismatch: somebody was first
}

// Plus is both together.
func (s Score) Plus(other Score) Score { return Score{s.Won + other.Won, s.Lost + other.Lost} }

// Races are all such properties.
var Races = []Race{
	{"one caller creates a key", createAtOnce, createdOnce},
	{"swaps lose no count", count, countedAll},
	{"no get sees half of a set", swapWhole, wholeAtEnd},
}

// creates is how many keys a step of "one caller creates a key" tries to create.
const creates = 64

// createAtOnce goes on where the keys end, and tries to create the next ones. Since the others do so too, all meet at the
// same key again and again.
func createAtOnce(s sharedstate.Store, prefix, caller string) (score Score, err error) {
	first, err := keysSoFar(s, prefix)
	if err != nil {
		return score, err
	}
	for i := first; i < first+creates; i++ {
		switch err := s.Set(raceKey(prefix, i), []byte(caller), sharedstate.CreateCAS); {
		case err == nil:
			score.Won++
		case errors.Is(err, sharedstate.ErrMismatch):
			score.Lost++
		default:
			return score, fmt.Errorf("create: %w", err)
		}
		// Won or lost, the key is there now.
		if _, _, err := s.Get(raceKey(prefix, i)); err != nil {
			return score, fmt.Errorf("get of a key that was created: %w", err)
		}
	}
	return score, nil
}

// keysSoFar is how many keys there are: nobody leaves one out.
func keysSoFar(s sharedstate.Store, prefix string) (n int, err error) {
	found := func(i int) bool {
		_, _, e := s.Get(raceKey(prefix, i))
		if e != nil && !errors.Is(e, sharedstate.ErrNotFound) {
			err = fmt.Errorf("get: %w", e)
		}
		return e == nil
	}
	end := creates
	for found(end - 1) {
		end *= 2
	}
	return sort.Search(end, func(i int) bool { return !found(i) }), err
}

// createdOnce wants each key to hold the name of a caller, and each caller to have won just the keys with its name.
func createdOnce(s sharedstate.Store, prefix string, scores map[string]Score) error {
	keys, err := keysSoFar(s, prefix)
	if err != nil {
		return err
	}
	holds := map[string]int{}
	for i := range keys {
		value, _, err := s.Get(raceKey(prefix, i))
		if err != nil {
			return fmt.Errorf("key %d: %w", i, err)
		}
		holds[string(value)]++
	}
	won := 0
	for caller, score := range scores {
		won += score.Won
		if holds[caller] != score.Won {
			return fmt.Errorf("%s created %d keys, %d hold its name", caller, score.Won, holds[caller])
		}
	}
	if won != keys || keys == 0 {
		return fmt.Errorf("%d keys were created %d times", keys, won)
	}
	return nil
}

func raceKey(prefix string, i int) string { return prefix + "race" + strconv.Itoa(i) }

// counts is how often a step of "swaps lose no count" counts.
const counts = 50

// count adds to one number, as the filter changes a record: look, change, swap, at most sharedstate.MaxSwaps times.
func count(s sharedstate.Store, prefix, _ string) (score Score, err error) {
	key := prefix + "count"
	for range counts {
		lost, err := change(s, key, func(value []byte) ([]byte, error) {
			n, err := number(value)
			return binary.LittleEndian.AppendUint64(nil, n+1), err
		})
		score.Lost += lost
		switch {
		case err == nil:
			score.Won++
		case !errors.Is(err, sharedstate.ErrContended): // which is no success, and counts as none
			return score, err
		}
	}
	return score, nil
}

func countedAll(s sharedstate.Store, prefix string, scores map[string]Score) error {
	value, _, err := s.Get(prefix + "count")
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	n, err := number(value)
	if err != nil {
		return err
	}
	won := 0
	for _, score := range scores {
		won += score.Won
	}
	if n != uint64(won) {
		return fmt.Errorf("counted %d, want %d", n, won)
	}
	return nil
}

// number reads a count; no bytes are 0.
func number(value []byte) (uint64, error) {
	switch len(value) {
	case 0:
		return 0, nil
	case 8:
		return binary.LittleEndian.Uint64(value), nil
	}
	return 0, fmt.Errorf("holds %.40q, want a number of 8 bytes", value)
}

// wholes is how often a step of "no get sees half of a set" sets. The values' lengths differ and are no multiple of
// what a machine copies at once.
const (
	wholes      = 10
	wholeLength = 4099
)

// swapWhole swaps long values that each consist of one byte again and again, and wants to find only such.
func swapWhole(s sharedstate.Store, prefix, caller string) (score Score, err error) {
	for i := range wholes {
		lost, err := change(s, prefix+"whole", func(value []byte) ([]byte, error) {
			if err := whole(value); err != nil {
				return nil, err
			}
			next := make([]byte, wholeLength+3*len(caller)+i)
			for j := range next {
				next[j] = byte(len(next))
			}
			return next, nil
		})
		score.Lost += lost
		switch {
		case err == nil:
			score.Won++
		case !errors.Is(err, sharedstate.ErrContended):
			return score, err
		}
	}
	return score, nil
}

func wholeAtEnd(s sharedstate.Store, prefix string, _ map[string]Score) error {
	value, _, err := s.Get(prefix + "whole")
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	return whole(value)
}

// whole looks at a value that is its own length's lowest byte, that many times.
func whole(value []byte) error {
	for i, b := range value {
		if b != byte(len(value)) {
			return fmt.Errorf("byte %d of %d is %d, want %d: half of another value", i, len(value), b, byte(len(value)))
		}
	}
	return nil
}

// change is the bounded loop around a key that may be missing; lost is how often somebody came between.
func change(s sharedstate.Store, key string, next func([]byte) ([]byte, error)) (lost int, err error) {
	for ; lost < sharedstate.MaxSwaps; lost++ {
		value, cas, err := s.Get(key)
		if errors.Is(err, sharedstate.ErrNotFound) {
			value, cas = nil, sharedstate.CreateCAS
		} else if err != nil {
			return lost, fmt.Errorf("get: %w", err)
		}
		value, err = next(value)
		if err != nil {
			return lost, err
		}
		err = s.Set(key, value, cas)
		if err == nil {
			return lost, nil
		}
		if !errors.Is(err, sharedstate.ErrMismatch) {
			return lost, fmt.Errorf("set: %w", err)
		}
	}
	return lost, sharedstate.ErrContended
}

// Run holds the race between so many goroutines, each of which runs one step, and checks it. It returns all callers'
// scores together.
func (r Race) Run(s sharedstate.Store, prefix string, callers int) (Score, error) {
	scores := make([]Score, callers)
	errs := make([]error, callers)
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range callers {
		running.Go(func() {
			<-start
			scores[i], errs[i] = r.Step(s, prefix, fmt.Sprint("caller", i))
		})
	}
	close(start)
	running.Wait()
	named := map[string]Score{}
	var all Score
	for i, score := range scores {
		named[fmt.Sprint("caller", i)] = score
		all = all.Plus(score)
	}
	return all, errors.Join(append(errs, r.Check(s, prefix, named))...)
}

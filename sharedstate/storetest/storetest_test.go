package storetest_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/storetest"
)

// callers is how many use a store at one time, as many as the end-to-end test has connections.
const callers = 64

// TestMemoryRaces: a race that nobody lost was none, so it is held until somebody did.
func TestMemoryRaces(t *testing.T) {
	t.Parallel()
	for _, race := range storetest.Races {
		t.Run(race.Name, func(t *testing.T) {
			t.Parallel()
			s := sharedstate.NewMemory()
			for round := range 1000 {
				score, err := race.Run(s, fmt.Sprintf("weir/test/%d/", round), callers)
				if err != nil {
					t.Fatal(err)
				}
				if score.Lost > 0 && round >= 10 {
					return
				}
			}
			t.Error("in 1,000 rounds: got no lost swap, want one, so that callers met")
		})
	}
}

// A faulty store is Memory with one thing wrong.
type faulty struct {
	*sharedstate.Memory
	get func(key string) ([]byte, uint32, error)
	set func(key string, value []byte, cas uint32) error
}

func (f faulty) Get(key string) ([]byte, uint32, error) {
	if f.get != nil {
		return f.get(key)
	}
	return f.Memory.Get(key)
}

func (f faulty) Set(key string, value []byte, cas uint32) error {
	if f.set != nil {
		return f.set(key, value, cas)
	}
	return f.Memory.Set(key, value, cas)
}

// TestCasesFindFaults: what a case is worth shows in a store that lacks its property.
func TestCasesFindFaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		fault string
		store func(m *sharedstate.Memory) faulty
		found []string // the cases that must find it; others may
	}{
		{
			"create overwrites", func(m *sharedstate.Memory) faulty {
				return faulty{Memory: m, set: func(key string, value []byte, cas uint32) error {
					if cas == sharedstate.CreateCAS {
						cas = 0
					}
					return m.Set(key, value, cas)
				}}
			},
			[]string{"CreateCAS on an existing key mismatches and leaves it as it is"},
		},
		{
			"the cas is not looked at", func(m *sharedstate.Memory) faulty {
				return faulty{Memory: m, set: func(key string, value []byte, _ uint32) error { return m.Set(key, value, 0) }}
			},
			[]string{"a set with the cas of a get succeeds, once", "a stale cas mismatches"},
		},
		{
			"cas 0 is checked, as by the emulator", func(m *sharedstate.Memory) faulty {
				return faulty{Memory: m, set: func(key string, value []byte, cas uint32) error {
					if _, _, err := m.Get(key); cas == 0 && err == nil {
						return sharedstate.ErrMismatch
					}
					return m.Set(key, value, cas)
				}}
			},
			[]string{"cas 0 overwrites without a check"},
		},
		{
			"a missing key is created by CreateCAS alone", func(m *sharedstate.Memory) faulty {
				return faulty{Memory: m, set: func(key string, value []byte, cas uint32) error {
					if _, _, err := m.Get(key); cas != sharedstate.CreateCAS && err != nil {
						return sharedstate.ErrMismatch
					}
					return m.Set(key, value, cas)
				}}
			},
			[]string{"a missing key is created with any cas"},
		},
		{
			"a missing key is empty", func(m *sharedstate.Memory) faulty {
				return faulty{Memory: m, get: func(key string) ([]byte, uint32, error) {
					value, cas, err := m.Get(key)
					if errors.Is(err, sharedstate.ErrNotFound) {
						return nil, 0, nil
					}
					return value, cas, err
				}}
			},
			[]string{"a missing key is not found"},
		},
		{
			"an empty value is missing", func(m *sharedstate.Memory) faulty {
				return faulty{Memory: m, get: func(key string) ([]byte, uint32, error) {
					value, cas, err := m.Get(key)
					if len(value) == 0 {
						return nil, 0, sharedstate.ErrNotFound
					}
					return value, cas, err
				}}
			},
			[]string{"values of any length and any byte"},
		},
		{
			"a set of the same value changes nothing", func(m *sharedstate.Memory) faulty {
				return faulty{Memory: m, set: func(key string, value []byte, cas uint32) error {
					if old, now, err := m.Get(key); err == nil && now == cas && string(old) == string(value) {
						return nil
					}
					return m.Set(key, value, cas)
				}}
			},
			[]string{"every set changes the cas, with the same value too"},
		},
		{
			"numbers are per key, as the emulator's", func(m *sharedstate.Memory) faulty {
				return faulty{Memory: m, get: func(key string) ([]byte, uint32, error) {
					value, cas, err := m.Get(key)
					if err == nil {
						cas = 1
					}
					return value, cas, err
				}}
			},
			[]string{"no two keys have the same cas", "every set changes the cas, with the same value too"},
		},
		{
			"a get aliases the store, as the emulator's", func(m *sharedstate.Memory) faulty {
				kept := map[string][]byte{}
				return faulty{Memory: m, get: func(key string) ([]byte, uint32, error) {
					value, cas, err := m.Get(key)
					if old, known := kept[key]; known && len(old) == len(value) {
						value = old
					}
					kept[key] = value
					return value, cas, err
				}}
			},
			[]string{"a value belongs to the caller"},
		},
		{
			"a key ends at a NUL", func(m *sharedstate.Memory) faulty {
				cut := func(key string) string {
					if i := slices.Index([]byte(key), 0); i >= 0 {
						return key[:i]
					}
					return key
				}
				return faulty{
					Memory: m,
					get: func(key string) ([]byte, uint32, error) {
						value, cas, err := m.Get(cut(key))
						return value, cas, err
					},
					set: func(key string, value []byte, cas uint32) error { return m.Set(cut(key), value, cas) },
				}
			},
			[]string{"keys of any byte"},
		},
		{
			"a set of one key is one of all", func(m *sharedstate.Memory) faulty {
				last := ""
				return faulty{Memory: m, set: func(key string, value []byte, cas uint32) error {
					if _, _, err := m.Get(key); err == nil && last != key && cas != 0 {
						last = key
						return sharedstate.ErrMismatch
					}
					last = key
					return m.Set(key, value, cas)
				}}
			},
			[]string{"keys do not touch each other"},
		},
	} {
		t.Run(tc.fault, func(t *testing.T) {
			t.Parallel()
			var found []string
			for _, c := range storetest.Cases {
				if c.Run(tc.store(sharedstate.NewMemory()), "weir/test/") != nil {
					found = append(found, c.Name)
				}
			}
			for _, name := range tc.found {
				if !slices.Contains(found, name) {
					t.Errorf("got the fault found by %q, want %q", found, name)
				}
			}
		})
	}
}

// TestRacesFindFaults: a store that is right for one caller and wrong for many.
func TestRacesFindFaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		race  string
		store func() sharedstate.Store
	}{
		{"one caller creates a key", func() sharedstate.Store { return &checkThenSet{Memory: sharedstate.NewMemory()} }},
		{"swaps lose no count", func() sharedstate.Store { return &checkThenSet{Memory: sharedstate.NewMemory()} }},
		{"no get sees half of a set", func() sharedstate.Store { return &halves{Memory: sharedstate.NewMemory()} }},
	} {
		t.Run(tc.race, func(t *testing.T) {
			t.Parallel()
			at := slices.IndexFunc(storetest.Races, func(r storetest.Race) bool { return r.Name == tc.race })
			if at < 0 {
				t.Fatal("got no race of that name, want one")
			}
			s := tc.store()
			for _, c := range storetest.Cases {
				if err := c.Run(s, "weir/alone/"); err != nil {
					t.Fatalf("%s with one caller: got %v, want no error", c.Name, err)
				}
			}
			for round := range 1000 {
				if _, err := storetest.Races[at].Run(s, fmt.Sprintf("weir/test/%d/", round), callers); err != nil {
					return
				}
			}
			t.Error("in 1,000 rounds: got no error, want one")
		})
	}
}

// checkThenSet looks at the cas and sets in two steps, each of them under the lock, with a pause for others between.
type checkThenSet struct {
	*sharedstate.Memory
	mu sync.Mutex
	n  int
}

func (s *checkThenSet) Set(key string, value []byte, cas uint32) error {
	_, now, err := s.Get(key)
	if err == nil && cas != 0 && cas != now {
		return sharedstate.ErrMismatch
	}
	s.pause()
	return s.Memory.Set(key, value, 0)
}

func (s *checkThenSet) pause() {
	for range 100 {
		s.mu.Lock()
		s.n++
		s.mu.Unlock()
	}
}

// halves sets a long value in two steps.
type halves struct{ *sharedstate.Memory }

func (s *halves) Set(key string, value []byte, cas uint32) error {
	old, now, err := s.Get(key)
	if err != nil || cas != now || len(value) < 8 || string(old) == string(value) {
		return s.Memory.Set(key, value, cas)
	}
	half := append(append([]byte(nil), value[:len(value)/2]...), old[min(len(old), len(value)/2):]...)
	if err := s.Memory.Set(key, half, cas); err != nil {
		return err
	}
	return s.Memory.Set(key, value, 0)
}

// Package storetest is the conformance suite of sharedstate.Store: what any store must do that the filter's records
// are kept in. It says what is wrong by errors instead of a testing.T, so that it runs under go test and inside a Wasm
// module in a real Envoy alike (e2e/storeplugin). Cases are for one caller, Races for many at one time.
//
// Two stores have all of it: Envoy's shared data (proxy-wasm-cpp-host, SharedData) and sharedstate.Memory. The emulator
// of the SDK (proxytest) has not, so a test under it proves nothing about the store:
//
//	                               Envoy, Memory                 the emulator
//	cas 0 on an existing key       overwrites without a check    is checked as any other, and mismatches
//	a key's cas                    from one counter for all      what it was set with, plus 1: after
//	                               keys, never 0                 CreateCAS it is 0
//	the bytes of a get             a copy                        the store's own, where the filter is no Wasm
//	callers at one time            workers; one mutex for all    never
//	the values live as long as     the process                   the emulator
//
// What they share: on a missing key any cas creates, and CreateCAS on an existing one mismatches.
package storetest

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/weir-mesh/weir/sharedstate"
)

// Case is one property of a store. Run returns nil where the store has it. Prefix makes its keys its own.
type Case struct {
	Name string
	Run  func(s sharedstate.Store, prefix string) error
}

// Cases are all properties for one caller, each independent of the others.
var Cases = []Case{
	{"a missing key is not found", missing},
	{"a missing key is created with CreateCAS", create},
	{"a missing key is created with any cas", createAnyhow},
	{"CreateCAS on an existing key mismatches and leaves it as it is", createExisting},
	{"a set with the cas of a get succeeds, once", swapOnce},
	{"every set changes the cas, with the same value too", sameValue},
	{"a stale cas mismatches", stale},
	{"cas 0 overwrites without a check", unchecked},
	{"no two keys have the same cas", oneCounter},
	{"a value belongs to the caller", aliasing},
	{"keys do not touch each other", independent},
	{"values of any length and any byte", lengths},
	{"keys of any byte", oddKeys},
}

func missing(s sharedstate.Store, prefix string) error {
	if _, _, err := s.Get(prefix + "missing"); !errors.Is(err, sharedstate.ErrNotFound) {
		return fmt.Errorf("get of a missing key: got %v, want ErrNotFound", err)
	}
	return nil
}

func create(s sharedstate.Store, prefix string) error {
	key := prefix + "create"
	if err := s.Set(key, []byte("one"), sharedstate.CreateCAS); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	return holds(s, key, "one")
}

func createAnyhow(s sharedstate.Store, prefix string) error {
	for _, cas := range []uint32{0, 1, 1 << 31} {
		key := prefix + fmt.Sprint("anyhow", cas)
		if err := s.Set(key, []byte("one"), cas); err != nil {
			return fmt.Errorf("cas %d: %w", cas, err)
		}
		if err := holds(s, key, "one"); err != nil {
			return fmt.Errorf("cas %d: %w", cas, err)
		}
	}
	return nil
}

func createExisting(s sharedstate.Store, prefix string) error {
	key := prefix + "exists"
	if err := s.Set(key, []byte("one"), sharedstate.CreateCAS); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if err := s.Set(key, []byte("two"), sharedstate.CreateCAS); !errors.Is(err, sharedstate.ErrMismatch) {
		return fmt.Errorf("create again: got %v, want ErrMismatch", err)
	}
	return holds(s, key, "one")
}

func swapOnce(s sharedstate.Store, prefix string) error {
	key := prefix + "swap"
	if err := s.Set(key, []byte("one"), sharedstate.CreateCAS); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	_, cas, err := s.Get(key)
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	if err := s.Set(key, []byte("two"), cas); err != nil {
		return fmt.Errorf("first set: %w", err)
	}
	if err := s.Set(key, []byte("three"), cas); !errors.Is(err, sharedstate.ErrMismatch) {
		return fmt.Errorf("second set with the same cas: got %v, want ErrMismatch", err)
	}
	return holds(s, key, "two")
}

func sameValue(s sharedstate.Store, prefix string) error {
	key := prefix + "same"
	cas := sharedstate.CreateCAS
	seen := map[uint32]bool{0: true}
	for range 10 {
		if err := s.Set(key, []byte("same"), cas); err != nil {
			return fmt.Errorf("set: %w", err)
		}
		var err error
		if _, cas, err = s.Get(key); err != nil {
			return fmt.Errorf("get: %w", err)
		}
		if seen[cas] {
			return fmt.Errorf("got cas %d a second time, want a new one", cas)
		}
		seen[cas] = true
	}
	return nil
}

func stale(s sharedstate.Store, prefix string) error {
	key := prefix + "stale"
	if err := s.Set(key, []byte("one"), sharedstate.CreateCAS); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	_, first, err := s.Get(key)
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	cas := first
	for _, value := range []string{"two", "one"} { // back to the same value: the number still tells (ABA)
		if err := s.Set(key, []byte(value), cas); err != nil {
			return fmt.Errorf("set %s: %w", value, err)
		}
		if _, cas, err = s.Get(key); err != nil {
			return fmt.Errorf("get: %w", err)
		}
	}
	if err := s.Set(key, []byte("late"), first); !errors.Is(err, sharedstate.ErrMismatch) {
		return fmt.Errorf("set with the first cas: got %v, want ErrMismatch", err)
	}
	return holds(s, key, "one")
}

// unchecked is why nothing in Weir uses cas 0.
func unchecked(s sharedstate.Store, prefix string) error {
	key := prefix + "unchecked"
	if err := s.Set(key, []byte("one"), sharedstate.CreateCAS); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	_, cas, err := s.Get(key)
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	if err := s.Set(key, []byte("two"), 0); err != nil {
		return fmt.Errorf("set with cas 0: %w", err)
	}
	if err := s.Set(key, []byte("three"), cas); !errors.Is(err, sharedstate.ErrMismatch) {
		return fmt.Errorf("set with the cas from before: got %v, want ErrMismatch", err)
	}
	return holds(s, key, "two")
}

// oneCounter: a cas of one key is of no use for another.
func oneCounter(s sharedstate.Store, prefix string) error {
	seen := map[uint32]string{}
	for i := range 10 {
		key := prefix + fmt.Sprint("counter", i)
		if err := s.Set(key, []byte("one"), sharedstate.CreateCAS); err != nil {
			return fmt.Errorf("create: %w", err)
		}
		_, cas, err := s.Get(key)
		if err != nil {
			return fmt.Errorf("get: %w", err)
		}
		if other, known := seen[cas]; known {
			return fmt.Errorf("%s and %s: got cas %d for both, want different ones", other, key, cas)
		}
		seen[cas] = key
	}
	return nil
}

func aliasing(s sharedstate.Store, prefix string) error {
	key := prefix + "alias"
	mine := []byte("one")
	if err := s.Set(key, mine, sharedstate.CreateCAS); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	mine[0] = 'X'
	if err := holds(s, key, "one"); err != nil {
		return fmt.Errorf("after the caller changed what it had set: %w", err)
	}
	got, _, err := s.Get(key)
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	got[0] = 'X'
	if err := holds(s, key, "one"); err != nil {
		return fmt.Errorf("after the caller changed what it had got: %w", err)
	}
	return nil
}

func independent(s sharedstate.Store, prefix string) error {
	a, b := prefix+"a", prefix+"ab"
	for _, key := range []string{a, b} {
		if err := s.Set(key, []byte(key), sharedstate.CreateCAS); err != nil {
			return fmt.Errorf("create %s: %w", key, err)
		}
	}
	_, cas, err := s.Get(a)
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	_, other, err := s.Get(b)
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	if err := s.Set(b, []byte("changed"), other); err != nil {
		return fmt.Errorf("set: %w", err)
	}
	if err := s.Set(a, []byte("too"), cas); err != nil {
		return fmt.Errorf("set of %s after a change of %s: %w", a, b, err)
	}
	return holds(s, b, "changed")
}

func lengths(s sharedstate.Store, prefix string) error {
	for _, n := range []int{0, 1, 7, 56, 312, 4096, 65536} {
		key := prefix + fmt.Sprint("length", n)
		value := make([]byte, n)
		for i := range value {
			value[i] = byte(i * 7)
		}
		if err := s.Set(key, value, sharedstate.CreateCAS); err != nil {
			return fmt.Errorf("%d bytes: %w", n, err)
		}
		if err := holds(s, key, string(value)); err != nil {
			return fmt.Errorf("%d bytes: %w", n, err)
		}
	}
	return nil
}

func oddKeys(s sharedstate.Store, prefix string) error {
	odd := []string{
		"with space", "with/slash", "with", "with\x00nul", "ünïcode", "\xff\xfe",
		string(bytes.Repeat([]byte("long"), 1024)),
	}
	for _, key := range odd {
		if err := s.Set(prefix+key, []byte(key), sharedstate.CreateCAS); err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
	}
	for _, key := range odd {
		if err := holds(s, prefix+key, key); err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
	}
	return nil
}

func holds(s sharedstate.Store, key, want string) error {
	got, cas, err := s.Get(key)
	switch {
	case err != nil:
		return fmt.Errorf("get: %w", err)
	case !bytes.Equal(got, []byte(want)):
		return fmt.Errorf("got %.40q, want %.40q", got, want)
	case cas == 0 || cas == sharedstate.CreateCAS:
		return fmt.Errorf("got cas %d, which has a meaning of its own, want another", cas)
	}
	return nil
}

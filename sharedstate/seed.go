package sharedstate

import (
	"encoding/binary"
	"errors"
)

// Seed returns the two words that fingerprints are made with, the same in all workers of a process: random of the
// worker that called first. random is 16 bytes that nobody outside can guess.
func Seed(s Store, random [16]byte) (k0, k1 uint64, err error) {
	err = s.Set(SeedKey, random[:], CreateCAS)
	if err != nil && !errors.Is(err, ErrMismatch) {
		return 0, 0, err
	}
	value, _, err := s.Get(SeedKey)
	if err != nil {
		return 0, 0, err
	}
	if len(value) != len(random) {
		return 0, 0, errors.New("sharedstate: " + SeedKey + " does not hold 16 bytes: another filter uses it")
	}
	return binary.LittleEndian.Uint64(value), binary.LittleEndian.Uint64(value[8:]), nil
}

// workersKey is the key of the number of workers that ever started, u32.
const workersKey = Prefix + "workers"

// NextWorker returns an id that no other worker of this process has or had. Each VM calls it once, when it starts.
func NextWorker(s Store) (id uint32, err error) {
	for range MaxSwaps {
		value, cas, err := s.Get(workersKey)
		switch {
		case errors.Is(err, ErrNotFound):
			cas = CreateCAS
		case err != nil:
			return 0, err
		case len(value) != 4:
			return 0, errors.New("sharedstate: " + workersKey + " does not hold 4 bytes: another filter uses it")
		default:
			id = binary.LittleEndian.Uint32(value)
		}
		id++
		err = s.Set(workersKey, binary.LittleEndian.AppendUint32(nil, id), cas)
		if err == nil {
			return id, nil
		}
		if !errors.Is(err, ErrMismatch) {
			return 0, err
		}
	}
	return 0, ErrContended
}

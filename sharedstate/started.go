package sharedstate

import (
	"encoding/binary"
	"errors"
)

// startedKey is the key of when the process's first worker started, i64, nanoseconds of a monotonic clock.
const startedKey = Prefix + "started"

// MarkStart notes that a worker starts at time now. The process's first one counts.
func MarkStart(s Store, now int64) error {
	err := s.Set(startedKey, binary.LittleEndian.AppendUint64(nil, uint64(now)), CreateCAS)
	if errors.Is(err, ErrMismatch) {
		return nil
	}
	return err
}

// StartedAt is when the process's first worker started, which is when Weir's counts began; 0: it is not known.
func StartedAt(s Store) (int64, error) {
	value, _, err := s.Get(startedKey)
	if errors.Is(err, ErrNotFound) || err == nil && len(value) != 8 {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return int64(binary.LittleEndian.Uint64(value)), nil
}

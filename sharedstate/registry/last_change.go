package registry

import (
	"encoding/binary"
	"errors"

	"github.com/weir-mesh/weir/sharedstate"
)

// lastChangeKey keeps when an operator last changed something: i64, little endian, nanoseconds of a monotonic clock.
const lastChangeKey = documentsKey + "/changed"

// MarkChange notes that an operator changed a cluster's record. Workers that update the gauges of some clusters at a
// time then update all of them.
func MarkChange(store sharedstate.Store, now int64) error {
	_, cas, err := store.Get(lastChangeKey)
	switch {
	case errors.Is(err, sharedstate.ErrNotFound):
		cas = sharedstate.CreateCAS
	case err != nil:
		return err
	}
	err = store.Set(lastChangeKey, binary.LittleEndian.AppendUint64(nil, uint64(now)), cas)
	if errors.Is(err, sharedstate.ErrMismatch) {
		return nil // another operator's change was marked at the same time: workers look after that one, too
	}
	return err
}

// LastChange is when an operator last changed something, 0 for never.
func LastChange(store sharedstate.Store) (at int64, err error) {
	value, _, err := store.Get(lastChangeKey)
	if errors.Is(err, sharedstate.ErrNotFound) || err == nil && len(value) != 8 {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return int64(binary.LittleEndian.Uint64(value)), nil
}

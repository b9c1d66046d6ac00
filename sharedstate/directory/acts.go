package directory

import (
	"encoding/binary"
	"errors"

	"github.com/weir-mesh/weir/sharedstate"
)

// actsKey is where the time of the last thing is kept that an operator did: i64, little endian, nanoseconds of a monotonic clock.
const actsKey = rowsKey + "/acts"

// Act tells that an operator changed a cluster's record: who looks at clusters in turns looks at all of them now.
func Act(store sharedstate.Store, now int64) error {
	_, cas, err := store.Get(actsKey)
	switch {
	case errors.Is(err, sharedstate.ErrNotFound):
		cas = sharedstate.CreateCAS
	case err != nil:
		return err
	}
	err = store.Set(actsKey, binary.LittleEndian.AppendUint64(nil, uint64(now)), cas)
	if errors.Is(err, sharedstate.ErrMismatch) {
		return nil // another operator's act came between: it has them look as well, and after this one
	}
	return err
}

// LastAct is when an operator did something last, 0 for never.
func LastAct(store sharedstate.Store) (at int64, err error) {
	value, _, err := store.Get(actsKey)
	if errors.Is(err, sharedstate.ErrNotFound) || err == nil && len(value) != 8 {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return int64(binary.LittleEndian.Uint64(value)), nil
}

package sharedstate

import (
	"encoding/binary"
	"errors"
	"time"
)

// Turn says whether it is somebody's turn to say something, of which all workers together speak once in every so long.
// It is nobody's turn where the store fails: silence costs less than a flood. The state is the time of the last word,
// i64 nanoseconds of the machine's monotonic clock; a time that is ahead of now is of no use and is written anew.
func Turn(store Store, what string, every time.Duration, now int64) bool {
	key := prefix + "turn/" + what
	value, cas, err := store.Get(key)
	switch {
	case errors.Is(err, ErrNotFound):
		cas = CreateCAS
	case err != nil:
		return false
	case len(value) == 8:
		if passed := now - int64(binary.LittleEndian.Uint64(value)); passed >= 0 && passed < int64(every) {
			return false
		}
	}
	return store.Set(key, binary.LittleEndian.AppendUint64(nil, uint64(now)), cas) == nil
}

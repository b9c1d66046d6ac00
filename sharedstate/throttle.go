package sharedstate

import (
	"encoding/binary"
	"errors"
	"time"
)

// AllowLog says whether a worker may log on a topic at time now: all workers together do so once in each interval. It
// is false where the store fails, since silence costs less than a flood. The state is the time of the last log line,
// i64 nanoseconds of the machine's monotonic clock. A time later than now comes from another clock, and is overwritten.
func AllowLog(store Store, topic string, interval time.Duration, now int64) bool {
	key := Prefix + "log/" + topic
	value, cas, err := store.Get(key)
	switch {
	case errors.Is(err, ErrNotFound):
		cas = CreateCAS
	case err != nil:
		return false
	case len(value) == 8:
		if passed := now - int64(binary.LittleEndian.Uint64(value)); passed >= 0 && passed < int64(interval) {
			return false
		}
	}
	return store.Set(key, binary.LittleEndian.AppendUint64(nil, uint64(now)), cas) == nil
}

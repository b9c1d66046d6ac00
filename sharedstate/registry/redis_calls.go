package registry

import (
	"encoding/binary"
	"time"

	"github.com/weir-mesh/weir/sharedstate"
)

// RedisCalls is when a call to Redis last succeeded and when one last failed, over all workers: nanoseconds of a
// monotonic clock, 0 for never. It takes 24 bytes.
type RedisCalls struct{ LastOK, LastFailed int64 }

const (
	redisCallsKey     = documentsKey + "/redis"
	redisCallsVersion = 1
	redisCallsSize    = 24
)

// The packed form, little endian: u8 version, u8 0, u16 0, u32 0, i64 last success, i64 last failure.

// AppendTo implements sharedstate.Packed.
func (c *RedisCalls) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, redisCallsVersion)
	b = le.AppendUint64(b, uint64(c.LastOK))
	return le.AppendUint64(b, uint64(c.LastFailed))
}

// Unpack implements sharedstate.Packed.
func (c *RedisCalls) Unpack(b []byte) (ok bool) {
	*c = RedisCalls{}
	le := binary.LittleEndian
	if len(b) != redisCallsSize || le.Uint64(b) != redisCallsVersion {
		return false
	}
	c.LastOK, c.LastFailed = int64(le.Uint64(b[8:])), int64(le.Uint64(b[16:]))
	return true
}

// recovery is how long calls of other workers may succeed after a failed call without ending the failure.
const recovery = int64(2 * time.Second)

// Failing says whether calls fail: a call failed, and none has succeeded 2 s after it or later.
func (c *RedisCalls) Failing() bool { return c.LastFailed != 0 && c.LastOK < c.LastFailed+recovery }

// PublishRedisCall stores how a worker's last call to Redis ended.
func PublishRedisCall(store sharedstate.Store, failed bool, now int64) error {
	var c RedisCalls
	_, err := sharedstate.NewCell(store, redisCallsKey, &c).Update(func() bool {
		if failed {
			c.LastFailed = now
		} else {
			c.LastOK = now
		}
		return true
	})
	return err
}

// ReadRedisCalls reads how calls to Redis end, the zero RedisCalls where none was made.
func ReadRedisCalls(store sharedstate.Store) (c RedisCalls, err error) {
	_, err = sharedstate.NewCell(store, redisCallsKey, &c).Load()
	return c, err
}

package registry

import (
	"encoding/binary"
	"time"

	"github.com/weir-mesh/weir/sharedstate"
)

// RedisCalls is when a call to Redis last succeeded and when one last failed, over all workers: nanoseconds of a
// monotonic clock, 0 for never; and why it failed.
type RedisCalls struct {
	LastOK, LastFailed int64
	FailingSince       int64 // while Failing: since when
	Failure            RedisFailure
}

// RedisFailure is why a call to Redis failed.
type RedisFailure struct {
	Kind    uint8  // a redis.Kind
	Cluster string // the cluster whose limit it concerns; "": all
	Detail  string // of the redis.Error
}

const (
	redisCallsKey     = documentsKey + "/v3/redis-calls" // with the version, for the reason that clustersKey has
	redisCallsVersion = 3
	redisCallsHeader  = 30
)

// The packed form, little endian:
//
//	 0  u8   version
//	 1  u8   kind of the failure
//	 2  i64  last success
//	10  i64  last failure
//	18  i64  since when calls fail
//	26  u16  length of the cluster's name
//	28  u16  0
//	30  the cluster's name, at most 1,024 bytes, then the detail, at most 512

// AppendTo implements sharedstate.Packed.
func (c *RedisCalls) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	f := &c.Failure
	b = append(b, redisCallsVersion, f.Kind)
	b = le.AppendUint64(b, uint64(c.LastOK))
	b = le.AppendUint64(b, uint64(c.LastFailed))
	b = le.AppendUint64(b, uint64(c.FailingSince))
	b = le.AppendUint16(b, uint16(len(f.Cluster)))
	b = append(b, 0, 0)
	b = append(b, f.Cluster...)
	return append(b, f.Detail...)
}

// Unpack implements sharedstate.Packed.
func (c *RedisCalls) Unpack(b []byte) (ok bool) {
	*c = RedisCalls{}
	le := binary.LittleEndian
	if len(b) < redisCallsHeader || b[0] != redisCallsVersion || le.Uint16(b[28:]) != 0 || len(b)-redisCallsHeader < int(le.Uint16(b[26:])) {
		return false
	}
	cluster := redisCallsHeader + int(le.Uint16(b[26:]))
	c.LastOK, c.LastFailed, c.FailingSince = int64(le.Uint64(b[2:])), int64(le.Uint64(b[10:])), int64(le.Uint64(b[18:]))
	c.Failure = RedisFailure{Kind: b[1], Cluster: string(b[redisCallsHeader:cluster]), Detail: string(b[cluster:])}
	return true
}

// recovery is how long calls of other workers may succeed after a failed call without ending the failure.
const recovery = int64(2 * time.Second)

// Failing says whether calls fail: a call failed, and none has succeeded 2 s after it or later.
func (c *RedisCalls) Failing() bool { return c.LastFailed != 0 && c.LastOK < c.LastFailed+recovery }

// CallsSince is how a worker's calls to Redis ended since it last published that: Failed is the last failure.
type CallsSince struct {
	Succeeded bool
	Failed    *RedisFailure
}

// Publish stores it. Nothing is stored where no call ended.
func (s CallsSince) Publish(store sharedstate.Store, now int64) error {
	if s == (CallsSince{}) {
		return nil
	}
	var c RedisCalls
	_, err := sharedstate.NewCell(store, redisCallsKey, &c).Update(func() bool {
		if s.Failed != nil && !c.Failing() {
			c.FailingSince = now
		}
		if s.Succeeded {
			c.LastOK = now
		}
		if f := s.Failed; f != nil {
			c.LastFailed = now
			c.Failure = RedisFailure{f.Kind, f.Cluster[:min(len(f.Cluster), 1024)], f.Detail[:min(len(f.Detail), 512)]}
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

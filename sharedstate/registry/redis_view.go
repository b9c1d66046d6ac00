package registry

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/weir-mesh/weir/sharedstate"
)

// RedisView is what Redis last replied about a cluster's limit of scope mesh. Only the worker that called Redis knows
// it, so it is published: 40 bytes for each cluster.
type RedisView struct {
	PublishedAt       int64 // nanoseconds of a monotonic clock; 0: never
	RedisTime         int64 // when Redis replied, by its own clock, microseconds
	Limit             int64 // the limit in force
	Remaining         int64
	SuccessRatio      float64 // of an adaptive limit, 0 to 1
	SuccessRatioKnown bool
}

func redisViewKey(cluster string) string { return documentsKey + "/redis/" + cluster }

// redisViewVersion is the first byte of a packed RedisView. Bytes of another version are read as none.
const redisViewVersion = 1

// The packed form, little endian:
//
//	 0  u8   version
//	 1  u8   1: the success ratio is known
//	 2  u16  0
//	 4  f32  success ratio
//	 8  i64  published at
//	16  i64  Redis's time
//	24  i64  limit
//	32  i64  remaining
//	40
const redisViewSize = 40

// AppendTo implements sharedstate.Packed.
func (v *RedisView) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	known := byte(0)
	if v.SuccessRatioKnown {
		known = 1
	}
	b = append(b, redisViewVersion, known, 0, 0)
	b = le.AppendUint32(b, math.Float32bits(float32(v.SuccessRatio)))
	b = le.AppendUint64(b, uint64(v.PublishedAt))
	b = le.AppendUint64(b, uint64(v.RedisTime))
	b = le.AppendUint64(b, uint64(v.Limit))
	return le.AppendUint64(b, uint64(v.Remaining))
}

// Unpack implements sharedstate.Packed.
func (v *RedisView) Unpack(b []byte) (ok bool) {
	*v = RedisView{}
	le := binary.LittleEndian
	if len(b) != redisViewSize || b[0] != redisViewVersion || b[1] > 1 || b[2] != 0 || b[3] != 0 {
		return false
	}
	read := RedisView{
		SuccessRatio: float64(math.Float32frombits(le.Uint32(b[4:]))), SuccessRatioKnown: b[1] == 1,
		PublishedAt: int64(le.Uint64(b[8:])), RedisTime: int64(le.Uint64(b[16:])),
		Limit: int64(le.Uint64(b[24:])), Remaining: int64(le.Uint64(b[32:])),
	}
	if !(read.SuccessRatio >= 0 && read.SuccessRatio <= 1) || read.Limit < 0 || read.Remaining < 0 { // NaN included
		return false
	}
	*v = read
	return true
}

// lateReply is how late a reply to another worker may be. For as long a published view is protected from views with an
// earlier Redis time. A view that is earlier by more, or comes after that, shows that Redis's clock was set back, or that
// another server with its own clock took Redis's place.
const lateReply = time.Minute

// Publish stores the view, unless a later one is stored. Publish each reply of Redis once.
func (v RedisView) Publish(store sharedstate.Store, cluster string) error {
	var stored RedisView
	_, err := sharedstate.NewCell(store, redisViewKey(cluster), &stored).Update(func() bool {
		late := time.Duration(stored.RedisTime-v.RedisTime) * time.Microsecond
		if late >= 0 && late < lateReply && v.PublishedAt-stored.PublishedAt < int64(lateReply) {
			return false
		}
		stored = v
		return true
	})
	return err
}

// ReadRedisView reads what is published of a cluster's limit, the zero RedisView where nothing is.
func ReadRedisView(store sharedstate.Store, cluster string) (v RedisView, err error) {
	_, err = sharedstate.NewCell(store, redisViewKey(cluster), &v).Load()
	return v, err
}

// clearRedisView forgets what Redis replied about a limit that was reset.
func clearRedisView(store sharedstate.Store, cluster string) error {
	var stored RedisView
	_, err := sharedstate.NewCell(store, redisViewKey(cluster), &stored).Update(func() bool {
		stored = RedisView{}
		return true
	})
	return err
}

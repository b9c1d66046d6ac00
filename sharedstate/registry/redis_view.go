package registry

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/dchest/siphash"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
)

// RedisView is what Redis last replied about a cluster's limit of scope mesh, as one configuration has it: two listeners
// may hold different numbers for one count. Only the worker that called Redis knows it, so it is published.
type RedisView struct {
	PublishedAt       int64 // nanoseconds of a monotonic clock; 0: never
	RedisTime         int64 // when Redis replied, by its own clock, microseconds
	Limit             int64 // the limit in force
	Remaining         int64
	SuccessRatio      float64 // of an adaptive limit, 0 to 1
	SuccessRatioKnown bool
}

func redisViewsKey(cluster string) string { return documentsKey + "/redis-views/" + cluster }

// redisViews are those of a cluster's configurations, at most maxRedisViews: as many as have a record in Redis.
type redisViews []redisViewOf

// redisViewOf is the view of one configuration.
type redisViewOf struct {
	numbers uint64 // of the configuration, see numbersOf
	RedisView
}

const maxRedisViews = 4

// numbersOf is a hash of what makes two configurations count apart or with different numbers. Not shards: what is published of a
// cluster for operators does not have them, and would find no reply of a mesh limit.
func numbersOf(l *policy.RateLimit) uint64 {
	le := binary.LittleEndian
	b := append(make([]byte, 0, 88), byte(l.Algorithm))
	for _, n := range []int64{l.Requests, int64(l.Window), l.Burst, int64(l.AdaptiveInterval), int64(l.AdaptiveMinSamples)} {
		b = le.AppendUint64(b, uint64(n))
	}
	for _, n := range []float64{l.Refill, l.AdaptiveThreshold, l.BackoffFactor, l.RecoveryFactor} {
		b = le.AppendUint64(b, math.Float64bits(n))
	}
	return siphash.Hash(0, 0, b)
}

// find returns the view of a configuration, nil where there is none.
func (v redisViews) find(numbers uint64) *RedisView {
	for i := range v {
		if v[i].numbers == numbers {
			return &v[i].RedisView
		}
	}
	return nil
}

// add makes room for a configuration: where there is none, that which was published the longest ago makes it.
func (v *redisViews) add(numbers uint64) *RedisView {
	if len(*v) < maxRedisViews {
		*v = append(*v, redisViewOf{})
	}
	oldest := 0
	for i := range *v {
		if (*v)[i].PublishedAt < (*v)[oldest].PublishedAt {
			oldest = i
		}
	}
	(*v)[oldest] = redisViewOf{numbers: numbers}
	return &(*v)[oldest].RedisView
}

// The packed form: for each configuration its numbers, an u64 in little endian, and its view.

// AppendTo implements sharedstate.Packed.
func (v *redisViews) AppendTo(b []byte) []byte {
	for i := range *v {
		one := &(*v)[i]
		b = binary.LittleEndian.AppendUint64(b, one.numbers)
		b = one.AppendTo(b)
	}
	return b
}

// Unpack implements sharedstate.Packed.
func (v *redisViews) Unpack(b []byte) (ok bool) {
	*v = nil
	const size = 8 + redisViewSize
	if len(b)%size != 0 || len(b) > maxRedisViews*size {
		return false
	}
	read := make(redisViews, len(b)/size)
	for i := range read {
		read[i].numbers = binary.LittleEndian.Uint64(b[i*size:])
		if !read[i].Unpack(b[i*size+8 : (i+1)*size]) {
			return false
		}
	}
	*v = read
	return true
}

// redisViewVersion is the first byte of a packed RedisView. Bytes of another version are read as none.
const redisViewVersion = 1

// The packed form of a view, little endian:
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

// Publish stores the view of a cluster's limit with these rules, unless a later one of the same numbers is stored.
// Publish each reply of Redis once.
func (v RedisView) Publish(store sharedstate.Store, cluster string, rules *policy.RateLimit) error {
	var views redisViews
	numbers := numbersOf(rules)
	_, err := sharedstate.NewCell(store, redisViewsKey(cluster), &views).Update(func() bool {
		stored := views.find(numbers)
		if stored == nil {
			stored = views.add(numbers)
		}
		late := time.Duration(stored.RedisTime-v.RedisTime) * time.Microsecond
		if late >= 0 && late < lateReply && v.PublishedAt-stored.PublishedAt < int64(lateReply) {
			return false
		}
		*stored = v
		return true
	})
	return err
}

// ReadRedisView reads what is published of a cluster's limit with these rules, the zero RedisView where nothing is.
func ReadRedisView(store sharedstate.Store, cluster string, rules *policy.RateLimit) (RedisView, error) {
	var views redisViews
	_, err := sharedstate.NewCell(store, redisViewsKey(cluster), &views).Load()
	if stored := views.find(numbersOf(rules)); stored != nil {
		return *stored, err
	}
	return RedisView{}, err
}

// clearRedisViews forgets what Redis replied about a limit that was reset.
func clearRedisViews(store sharedstate.Store, cluster string) error {
	var views redisViews
	_, err := sharedstate.NewCell(store, redisViewsKey(cluster), &views).Update(func() bool {
		changed := len(views) > 0
		views = nil
		return changed
	})
	return err
}

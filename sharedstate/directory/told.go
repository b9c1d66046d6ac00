package directory

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/weir-mesh/weir/sharedstate"
)

// Told is what Redis last told of a cluster's limit, which all proxies share: no worker's memory but the one's that asked
// has it. It is 40 bytes a cluster.
type Told struct {
	At         int64 // when it was published, nanoseconds of a monotonic clock; 0: never
	Asked      int64 // Redis's clock, microseconds: of two the later one holds, see Publish
	Limit      int64 // that holds
	Remaining  int64
	Ratio      float64 // adaptive: the success rate
	RatioKnown bool
}

// ToldKey is where a cluster's is kept.
func ToldKey(cluster string) string { return rowsKey + "/told/" + cluster }

// toldVersion is the first byte of a packed Told. One of another version is read as none.
const toldVersion = 1

// The packed form, little endian:
//
//	 0  u8   version
//	 1  u8   1: the success rate is known
//	 2  u16  0
//	 4  f32  success rate
//	 8  i64  at
//	16  i64  asked
//	24  i64  limit
//	32  i64  remaining
//	40
const toldSize = 40

// AppendTo implements sharedstate.Packed.
func (t *Told) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	known := byte(0)
	if t.RatioKnown {
		known = 1
	}
	b = append(b, toldVersion, known, 0, 0)
	b = le.AppendUint32(b, math.Float32bits(float32(t.Ratio)))
	b = le.AppendUint64(b, uint64(t.At))
	b = le.AppendUint64(b, uint64(t.Asked))
	b = le.AppendUint64(b, uint64(t.Limit))
	return le.AppendUint64(b, uint64(t.Remaining))
}

// Unpack implements sharedstate.Packed.
func (t *Told) Unpack(b []byte) (ok bool) {
	*t = Told{}
	le := binary.LittleEndian
	if len(b) != toldSize || b[0] != toldVersion || b[1] > 1 || b[2] != 0 || b[3] != 0 {
		return false
	}
	got := Told{
		Ratio: float64(math.Float32frombits(le.Uint32(b[4:]))), RatioKnown: b[1] == 1,
		At: int64(le.Uint64(b[8:])), Asked: int64(le.Uint64(b[16:])), Limit: int64(le.Uint64(b[24:])), Remaining: int64(le.Uint64(b[32:])),
	}
	if !(got.Ratio >= 0 && got.Ratio <= 1) || got.Limit < 0 || got.Remaining < 0 { // NaN included
		return false
	}
	*t = got
	return true
}

// Calls is when calls to Redis went well and when not, over all workers: 24 bytes.
type Calls struct{ OK, Failed int64 }

// CallsKey is where it is kept.
const CallsKey = rowsKey + "/redis"

const (
	callsVersion = 1
	callsSize    = 24
)

// The packed form, little endian: u8 version, u8 0, u16 0, u32 0, i64 the last that went well, i64 the last that failed,
// nanoseconds of a monotonic clock; 0: none.

// AppendTo implements sharedstate.Packed.
func (c *Calls) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, callsVersion)
	b = le.AppendUint64(b, uint64(c.OK))
	return le.AppendUint64(b, uint64(c.Failed))
}

// Unpack implements sharedstate.Packed.
func (c *Calls) Unpack(b []byte) (ok bool) {
	*c = Calls{}
	le := binary.LittleEndian
	if len(b) != callsSize || le.Uint64(b) != callsVersion {
		return false
	}
	c.OK, c.Failed = int64(le.Uint64(b[8:])), int64(le.Uint64(b[16:]))
	return true
}

// recent is how long after a failed call others may go well, those of other workers, without an end to the trouble.
const recent = int64(2 * time.Second)

// Trouble says whether calls fail: a worker's last call did, and no more than two seconds of calls that went well have
// passed since.
func (c *Calls) Trouble() bool { return c.Failed != 0 && c.OK < c.Failed+recent }

// settled is how long what is there is protected from words with an earlier time of Redis's clock, which are those of
// other workers, late. After it the clock has gone back: another server, with a clock of its own, took Redis's place.
const settled = int64(time.Minute)

// Publish stores it where it is later than what is there. Each word is to be published once.
func (t Told) Publish(store sharedstate.Store, cluster string) error {
	var there Told
	_, err := sharedstate.NewCell(store, ToldKey(cluster), &there).Update(func() bool {
		if there.Asked >= t.Asked && t.At-there.At < settled {
			return false
		}
		there = t
		return true
	})
	return err
}

// Untell forgets what Redis told of a cluster's limit, which has been reset.
func Untell(store sharedstate.Store, cluster string) error {
	var there Told
	_, err := sharedstate.NewCell(store, ToldKey(cluster), &there).Update(func() bool {
		there = Told{}
		return true
	})
	return err
}

// PublishCall stores that a worker's last call went well, or did not.
func PublishCall(store sharedstate.Store, failed bool, now int64) error {
	var there Calls
	_, err := sharedstate.NewCell(store, CallsKey, &there).Update(func() bool {
		if failed {
			there.Failed = now
		} else {
			there.OK = now
		}
		return true
	})
	return err
}

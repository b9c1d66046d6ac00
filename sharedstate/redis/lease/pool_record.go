package lease

import (
	"encoding/binary"
	"math"

	"github.com/weir-mesh/weir/sharedstate/redis"
)

// poolVersion is the first byte of a pool's record. Raise it when its layout changes. A record of another version is
// replaced by a new one with another name, so what the earlier one had leased counts in Redis until it expires.
const poolVersion = 1

// maxAsleep is how many workers with waiting requests a record names. Others find out at their next tick.
const maxAsleep = 32

// poolRecord is what a pool keeps in shared data: all that changes in a Holder and its Worker, and what workers need to
// know of each other. It implements sharedstate.Packed.
//
//	u8 version │ u64 identity │ i64 latest │ u64 calls │ u8 ended │ u32 resets
//	u8 n, n × u32 queues │ u8 n, name │ the worker's last number │ three breakers │ the holder, see pack
//
// With one lease that is open and none to report it has some 400 bytes, 2.5 KB at most.
type poolRecord struct {
	identity uint64 // of the limit's configuration: who may use the record
	latest   int64  // the latest time of any change
	calls    uint64 // how many have ended
	ended    ending // how the last one did; 0: none has
	resets   uint32 // the operator's reset that made it; 0: none
	asleep   []uint32
	exists   bool   // it was read from shared data
	name     string // the holder's, as it was read last

	holder       *Holder
	limitBreaker breaker
}

// clear makes it a record that is not in shared data.
func (r *poolRecord) clear() {
	h := r.holder
	h.w.holder, h.w.last, h.w.breaker = "", 0, breaker{}
	h.init(h.w, h.limit, h.config, &r.limitBreaker)
	r.identity, r.latest, r.calls, r.ended, r.resets = 0, 0, 0, 0, 0
	r.asleep, r.exists, r.limitBreaker = r.asleep[:0], false, breaker{}
}

// Unpack implements sharedstate.Packed.
func (r *poolRecord) Unpack(b []byte) (ok bool) {
	r.clear()
	if len(b) == 0 || b[0] != poolVersion {
		return false
	}
	in := unpacker{left: b[1:]}
	r.unpack(&in)
	if in.short || len(in.left) > 0 || r.holder.w.holder == "" {
		r.clear()
		return false
	}
	r.exists = true
	return true
}

func (r *poolRecord) unpack(in *unpacker) {
	r.identity, r.latest, r.calls = uint64(in.i64()), in.i64(), uint64(in.i64())
	r.ended, r.resets = ending(in.u8(byte(failed))), in.u32()
	for range in.u8(maxAsleep) {
		r.asleep = append(r.asleep, in.u32())
	}
	h := r.holder
	if name := in.take(int(in.u8(math.MaxUint8))); string(name) != r.name { // seldom: it would be an allocation for each request
		r.name = string(name)
	}
	h.w.holder = r.name
	h.w.last = in.i64()
	for _, b := range []*breaker{&h.w.breaker, &r.limitBreaker, &h.breaker} {
		b.failures, b.wait, b.openUntil, b.probeUntil = int(in.i64()), in.i64(), in.i64(), in.i64()
	}
	h.demand.last, h.demand.rate = in.i64(), math.Float64frombits(uint64(in.i64()))
	for _, n := range h.numbers() {
		*n = in.i64()
	}
	h.waiters, h.pending.reported = int(in.i64()), int(in.u8(redis.MaxSettled))
	h.dueToSettle, h.lastReply.RatioKnown = in.u8(1) == 1, in.u8(1) == 1
	h.lastReply.Ratio = math.Float64frombits(uint64(in.i64()))
	h.lastReply.RetryAfter = 0 // is in nextToken
	h.openLen = int(in.u8(maxOpen))
	for i := range h.openLen {
		l := &h.open[i]
		l.sent, l.left = in.i64(), in.i64()
		in.settlement(&l.out)
	}
	h.closedLen = int(in.u8(redis.MaxSettled))
	for i := range h.closedLen {
		h.closing[i].sent, h.closing[i].urgent = in.i64(), in.u8(1) == 1
		in.settlement(&h.closed[i])
	}
	if h.pending.reported > h.closedLen {
		in.short = true
	}
}

// AppendTo implements sharedstate.Packed.
func (r *poolRecord) AppendTo(b []byte) []byte {
	h := r.holder
	b = append(b, poolVersion)
	b = putI64(b, int64(r.identity), r.latest, int64(r.calls))
	b = putU32(append(b, byte(r.ended)), r.resets)
	b = append(b, byte(len(r.asleep)))
	for _, queue := range r.asleep {
		b = putU32(b, queue)
	}
	b = append(append(b, byte(len(h.w.holder))), h.w.holder...)
	b = putI64(b, h.w.last)
	for _, k := range []*breaker{&h.w.breaker, &r.limitBreaker, &h.breaker} {
		b = putI64(b, int64(k.failures), k.wait, k.openUntil, k.probeUntil)
	}
	b = putI64(b, h.demand.last, int64(math.Float64bits(h.demand.rate)))
	for _, n := range h.numbers() {
		b = putI64(b, *n)
	}
	b = putI64(b, int64(h.waiters))
	b = append(b, byte(h.pending.reported), bit(h.dueToSettle), bit(h.lastReply.RatioKnown))
	b = putI64(b, int64(math.Float64bits(h.lastReply.Ratio)))
	b = append(b, byte(h.openLen))
	for i := range h.openLen {
		l := &h.open[i]
		b = putSettlement(putI64(b, l.sent, l.left), &l.out)
	}
	b = append(b, byte(h.closedLen))
	for i := range h.closedLen {
		b = append(putI64(b, h.closing[i].sent), bit(h.closing[i].urgent))
		b = putSettlement(b, &h.closed[i])
	}
	return b
}

// numbers are the holder's plain numbers that change, in the order of the record.
func (h *Holder) numbers() [20]*int64 {
	r := &h.lastReply
	return [...]*int64{
		&h.pace, &h.busySince, &h.lowMark, &h.notBefore, &h.nextToken, &h.dueSince, &h.called, &h.roundTrip,
		&h.pending.number, &h.pending.sent, &h.pending.want, &h.successes, &h.failures, &h.firstOutcome,
		&r.At, &r.Granted, &r.Remaining, &r.Limit, &r.Live, &r.Lately,
	}
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func putI64(b []byte, numbers ...int64) []byte {
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return b
}

func putU32(b []byte, n uint32) []byte { return binary.LittleEndian.AppendUint32(b, n) }

func putSettlement(b []byte, s *redis.Settlement) []byte {
	b = append(putI64(b, s.Number, s.At), byte(s.Len))
	for _, u := range s.Uses[:s.Len] {
		b = putI64(b, u.Offset, u.Tokens)
	}
	return b
}

// unpacker reads what was packed. It reads zeros after short was set.
type unpacker struct {
	left  []byte
	short bool // there was less than expected, or a number out of range
}

func (in *unpacker) take(n int) []byte {
	if in.short || n > len(in.left) {
		in.short = true
		return nil
	}
	b := in.left[:n]
	in.left = in.left[n:]
	return b
}

func (in *unpacker) i64() int64 {
	if b := in.take(8); b != nil {
		return int64(binary.LittleEndian.Uint64(b))
	}
	return 0
}

func (in *unpacker) u32() uint32 {
	if b := in.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// u8 is a byte up to most.
func (in *unpacker) u8(most byte) byte {
	b := in.take(1)
	if b == nil {
		return 0
	}
	if b[0] > most {
		in.short = true
		return 0
	}
	return b[0]
}

func (in *unpacker) settlement(s *redis.Settlement) {
	s.Number, s.At = in.i64(), in.i64()
	s.Len = int(in.u8(redis.MaxUses))
	for i := range s.Len {
		s.Uses[i] = redis.Use{Offset: in.i64(), Tokens: in.i64()}
	}
}

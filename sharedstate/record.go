package sharedstate

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/bulkhead"
)

// Record is all that the workers share of one cluster. The zero Record is a fresh one.
type Record struct {
	Breaker  breaker.State
	Bulkhead bulkhead.State
	Resets   uint32 // how often an operator has reset the cluster
	Budget   []byte // a retry.Budget's state, of which the same is true as of Limit
	Limit    []byte // a ratelimit.Limiter's state, which checks itself; empty: none. A place in the bytes that were unpacked
}

// RecordVersion is the first byte of a packed record. A record of any other version is read as a fresh one.
const RecordVersion = 3

// The packed form, little endian. Times are nanoseconds of the machine's monotonic clock.
//
//	 0  u8   version
//	 1  u8   breaker: status (0 closed, 1 half-open, 2 open)
//	 2  u8   breaker: number p of probe places that follow the fixed part
//	 3  u8   1: a window of failed calls follows, 2: a window of slow calls follows
//	 4  u32  breaker: generation
//	 8  u32  breaker: failures
//	12  u32  breaker: successes
//	16  u32  breaker: opens
//	20  u32  check over all other bytes but the budget's and the limit's, see checksum
//	24  i64  breaker: since
//	32  i64  breaker: wait
//	40  u16  bulkhead: number o of owners
//	42  u16  retry budget: number b of bytes
//	44  u32  limit: number l of bytes
//	48  u32  resets
//	52  u8   breaker: forced (0 not, 1 open, 2 closed)
//	53  u8   breaker: cause of the last transition (0 none, else as breaker.Cause counts)
//	54  u16  0
//	56  p x i64  breaker: expiry of each probe place; only half-open has any
//	    w x 104  breaker: the windows, as breaker.Window packs them
//	    o x 16   bulkhead: the owners, as bulkhead.State packs them
//	    b        retry budget, which checks itself
//	    l        limit, which checks itself
//
// A breaker alone takes 56 bytes. All of a record takes at most 56 + 256 + 208 + 4096 bytes, the budget's 184 and the
// limit's state.
const recordFixed = 56

const (
	hasFailed = 1
	hasSlow   = 2
)

// AppendTo packs the record behind b.
func (r *Record) AppendTo(b []byte) []byte {
	start := len(b)
	s := &r.Breaker
	probes := 0
	if s.Status == breaker.HalfOpen {
		probes = breaker.MaxProbes
		for probes > 0 && s.Probes[probes-1] == 0 {
			probes--
		}
	}
	windows := byte(0)
	if s.Failed.Width != 0 {
		windows |= hasFailed
	}
	if s.Slow.Width != 0 {
		windows |= hasSlow
	}
	le := binary.LittleEndian
	b = append(b, RecordVersion, byte(s.Status), byte(probes), windows)
	b = le.AppendUint32(b, s.Generation)
	b = le.AppendUint32(b, s.Failures)
	b = le.AppendUint32(b, s.Successes)
	b = le.AppendUint32(b, s.Opens)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, uint64(s.Since))
	b = le.AppendUint64(b, uint64(s.Wait))
	b = le.AppendUint16(b, uint16(len(r.Bulkhead.Owners)))
	b = le.AppendUint16(b, uint16(len(r.Budget)))
	b = le.AppendUint32(b, uint32(len(r.Limit)))
	b = le.AppendUint32(b, r.Resets)
	b = append(b, byte(s.Forced), byte(s.Cause), 0, 0)
	for _, expiry := range s.Probes[:probes] {
		b = le.AppendUint64(b, uint64(expiry))
	}
	if windows&hasFailed != 0 {
		b = s.Failed.AppendTo(b)
	}
	if windows&hasSlow != 0 {
		b = s.Slow.AppendTo(b)
	}
	b = r.Bulkhead.AppendTo(b)
	le.PutUint32(b[start+20:], checksum(b[start:]))
	b = append(b, r.Budget...)
	return append(b, r.Limit...)
}

// Unpack reads a packed record; the budget and the limit are places in b. Bytes of another version, a torn record or a stranger's
// value are no error: they are read as a fresh record, and ok is false.
func (r *Record) Unpack(b []byte) (ok bool) {
	if !r.unpack(b) {
		*r = Record{Bulkhead: bulkhead.State{Owners: r.Bulkhead.Owners[:0]}}
		return false
	}
	return true
}

func (r *Record) unpack(b []byte) (ok bool) {
	if len(b) < recordFixed || b[0] != RecordVersion || b[1] > byte(breaker.Open) || b[2] > breaker.MaxProbes || b[3] > hasFailed|hasSlow {
		return false
	}
	le := binary.LittleEndian
	probes, windows, owners := int(b[2]), b[3], int(le.Uint16(b[40:]))
	budget, limit, forced, cause := int(le.Uint16(b[42:])), le.Uint32(b[44:]), breaker.Forced(b[52]), breaker.Cause(b[53])
	if limit > math.MaxUint16 || owners > bulkhead.MaxOwners || (probes > 0 && b[1] != byte(breaker.HalfOpen)) ||
		forced > breaker.ForcedClosed || !cause.Known() || b[54] != 0 || b[55] != 0 {
		return false
	}
	windowsAt := recordFixed + 8*probes
	ownersAt := windowsAt + breaker.WindowSize*int(windows&1+windows>>1)
	budgetAt := ownersAt + bulkhead.OwnerSize*owners
	limitAt := budgetAt + budget
	if len(b) != limitAt+int(limit) || le.Uint32(b[20:]) != checksum(b[:budgetAt]) {
		return false
	}
	r.Breaker = breaker.State{
		Status:     breaker.Status(b[1]),
		Generation: le.Uint32(b[4:]),
		Failures:   le.Uint32(b[8:]),
		Successes:  le.Uint32(b[12:]),
		Opens:      le.Uint32(b[16:]),
		Since:      int64(le.Uint64(b[24:])),
		Wait:       time.Duration(le.Uint64(b[32:])),
		Forced:     forced,
		Cause:      cause,
	}
	r.Resets = le.Uint32(b[48:])
	for i := range probes {
		r.Breaker.Probes[i] = int64(le.Uint64(b[recordFixed+8*i:]))
	}
	if windows&hasFailed != 0 {
		r.Breaker.Failed.Unpack(b[windowsAt : windowsAt+breaker.WindowSize])
		windowsAt += breaker.WindowSize
	}
	if windows&hasSlow != 0 {
		r.Breaker.Slow.Unpack(b[windowsAt : windowsAt+breaker.WindowSize])
	}
	if !r.Bulkhead.Unpack(b[ownersAt:budgetAt]) {
		return false
	}
	r.Budget, r.Limit = b[budgetAt:limitAt], b[limitAt:]
	return true
}

// checksum folds a packed record's words, its own four bytes left out, by steps that are each one-to-one: a change of any
// one word changes the 64 bits, and is missed once in 2^32. It finds a torn or foreign record, not an attacker: who can
// write shared data runs inside this Envoy. (A CRC would do the same with a table of 8 KB in every worker's cache.)
func checksum(b []byte) uint32 {
	const prime = 0x9E3779B185EBCA87 // odd, 2^64 / golden ratio
	h := uint64(len(b))
	for i := 0; i+8 <= len(b); i += 8 {
		word := binary.LittleEndian.Uint64(b[i:])
		if i == 16 { // bytes 20 to 23 are the check itself
			word &= 0xFFFFFFFF
		}
		h = (h ^ word) * prime
		h ^= h >> 29
	}
	h *= prime
	return uint32(h >> 32)
}

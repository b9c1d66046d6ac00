package sharedstate

import (
	"encoding/binary"
	"time"

	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/ratelimit"
)

// Record is all that the workers share of one cluster. The zero Record is a fresh one.
type Record struct {
	Breaker breaker.State
	Bucket  ratelimit.Bucket
}

// RecordVersion is the first byte of a packed record. A record of any other version is read as a fresh one.
const RecordVersion = 1

// The packed form, little endian. Times are nanoseconds of the machine's monotonic clock.
//
//	 0  u8   version
//	 1  u8   breaker: status (0 closed, 1 half-open, 2 open)
//	 2  u8   breaker: number n of probe places that follow the fixed part
//	 3  u8   0
//	 4  u32  breaker: generation
//	 8  u32  breaker: failures
//	12  u32  breaker: successes
//	16  u32  breaker: opens
//	20  u32  check over all other bytes, see checksum
//	24  i64  breaker: since
//	32  i64  breaker: wait
//	40  i64  bucket: level, nano-tokens
//	48  i64  bucket: at
//	56  n x i64  breaker: expiry of each probe place; only half-open has any
const (
	recordFixed = 56
	// RecordMax is the size of the largest packed record in bytes.
	RecordMax = recordFixed + 8*breaker.MaxProbes
)

// AppendTo packs the record behind b.
func (r *Record) AppendTo(b []byte) []byte {
	start := len(b)
	n := 0
	if r.Breaker.Status == breaker.HalfOpen {
		n = breaker.MaxProbes
		for n > 0 && r.Breaker.Probes[n-1] == 0 {
			n--
		}
	}
	le := binary.LittleEndian
	b = append(b, RecordVersion, byte(r.Breaker.Status), byte(n), 0)
	b = le.AppendUint32(b, r.Breaker.Generation)
	b = le.AppendUint32(b, r.Breaker.Failures)
	b = le.AppendUint32(b, r.Breaker.Successes)
	b = le.AppendUint32(b, r.Breaker.Opens)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, uint64(r.Breaker.Since))
	b = le.AppendUint64(b, uint64(r.Breaker.Wait))
	b = le.AppendUint64(b, uint64(r.Bucket.Level))
	b = le.AppendUint64(b, uint64(r.Bucket.At))
	for _, expiry := range r.Breaker.Probes[:n] {
		b = le.AppendUint64(b, uint64(expiry))
	}
	le.PutUint32(b[start+20:], checksum(b[start:]))
	return b
}

// Unpack reads a packed record. Bytes of another version, a torn record or a stranger's value are no error: they are
// read as a fresh record, and ok is false.
func (r *Record) Unpack(b []byte) (ok bool) {
	*r = Record{}
	if len(b) < recordFixed || b[0] != RecordVersion || b[1] > byte(breaker.Open) || b[2] > breaker.MaxProbes || b[3] != 0 {
		return false
	}
	n := int(b[2])
	if len(b) != recordFixed+8*n || (n > 0 && b[1] != byte(breaker.HalfOpen)) {
		return false
	}
	le := binary.LittleEndian
	if le.Uint32(b[20:]) != checksum(b) {
		return false
	}
	r.Breaker.Status = breaker.Status(b[1])
	r.Breaker.Generation = le.Uint32(b[4:])
	r.Breaker.Failures = le.Uint32(b[8:])
	r.Breaker.Successes = le.Uint32(b[12:])
	r.Breaker.Opens = le.Uint32(b[16:])
	r.Breaker.Since = int64(le.Uint64(b[24:]))
	r.Breaker.Wait = time.Duration(le.Uint64(b[32:]))
	r.Bucket.Level = int64(le.Uint64(b[40:]))
	r.Bucket.At = int64(le.Uint64(b[48:]))
	for i := range n {
		r.Breaker.Probes[i] = int64(le.Uint64(b[recordFixed+8*i:]))
	}
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

package retry

import (
	"math"

	"github.com/weir-mesh/weir/policy/packed"
)

const (
	width         = 500_000_000 // of a bucket, nanoseconds
	requestsCount = 20          // buckets for which a request counts: up to 10 s
	retriesCount  = 21          // … a retry: 10 s at least
	longestTime   = 1 << 62     // keeps differences of times within 63 bits
)

// A budget's state is a region of bytes that is changed in place, a part of a record: it has no version of its own. Bucket
// k is the time from k x 0.5 s up to (k+1) x 0.5 s of a monotonic clock, and is kept at place k mod 21. Little endian:
//
//	  0  u32  era: how often the times of the state turned out to be of another clock
//	  4  u32  check over bytes 0 to 15, see package packed
//	  8  i64  number of the newest bucket
//	 16  21 x { u32 requests, u32 retries }
//	184
//
// All zeros are a fresh state. The check leaves the buckets out: whatever they contain, a budget only counts wrongly, for
// 10.5 s at most.
const (
	atEra     = 0
	atNewest  = 8
	atBuckets = 16
	stateSize = atBuckets + 8*retriesCount
)

// Size is the number of bytes of a budget's state.
func (b *Budget) Size() int { return stateSize }

// Reset makes the state a fresh one. len(state) is Size.
func (b *Budget) Reset(state []byte) { clear(state) }

// Usable reports whether these bytes are a budget's state, of whatever percentage and minimum: those are not part of it,
// and a changed policy applies from the next call on. Other bytes are treated as fresh (Reset).
func (b *Budget) Usable(state []byte) bool {
	if len(state) != stateSize {
		return false
	}
	k := newest(state)
	return k >= 0 && k <= longestTime/width && packed.Sealed(state[:atBuckets])
}

func newest(state []byte) int64 { return packed.I64(state, atNewest) }
func era(state []byte) uint32   { return uint32(packed.U32(state, atEra)) }

func setNewest(state []byte, k int64, era uint32) {
	packed.PutI64(state, atNewest, k)
	packed.PutU32(state, atEra, int64(era))
	packed.Seal(state[:atBuckets])
}

func bucketAt(now int64) int64 { return min(max(now, 0), longestTime) / width }

// bucket is the eight bytes of bucket k.
func bucket(state []byte, k int64) []byte { return bucketIn(state, int(uint64(k)%retriesCount)) }

func bucketIn(state []byte, place int) []byte {
	at := atBuckets + 8*place
	return state[at : at+8]
}

func requestsIn(bucket []byte) int64 { return packed.U32(bucket, 0) }
func retriesIn(bucket []byte) int64  { return packed.U32(bucket, 4) }

func setRequests(bucket []byte, n int64) { packed.PutU32(bucket, 0, clampCount(n)) }
func setRetries(bucket []byte, n int64)  { packed.PutU32(bucket, 4, clampCount(n)) }

// clampCount keeps a count within 32 bits: it stays at its largest and does not wrap around.
func clampCount(n int64) int64 { return min(max(n, 0), math.MaxUint32) }

// current is the bucket that a call at this time counts in. A reading from before the newest bucket is another worker's,
// who read the clock earlier. One that is more than 10 s before it is of another clock.
func current(state []byte, now int64) (k int64, foreign bool) {
	k, last := bucketAt(now), newest(state)
	if last-k >= retriesCount {
		return k, true
	}
	return max(k, last), false
}

// counted is what counts in bucket k. Of another clock's time, retries count and requests don't: that neither opens
// the budget nor locks it for longer than 10.5 s.
func counted(state []byte, k int64, foreign bool) (requests, retries int64) {
	last := newest(state)
	if foreign {
		k = last
	}
	oldest := max(k-retriesCount+1, 0)
	place := int(oldest % retriesCount)
	for i := oldest; i <= last; i++ {
		b := bucketIn(state, place)
		retries += retriesIn(b)
		if i > k-requestsCount {
			requests += requestsIn(b)
		}
		if place++; place == retriesCount {
			place = 0
		}
	}
	if foreign {
		requests = 0
	}
	return requests, retries
}

// advance makes bucket k the newest, as current answered it, and lets go of what counts no more. Retries of another
// clock's time become just made.
func advance(state []byte, k int64, foreign bool) {
	if foreign {
		_, retries := counted(state, k, true)
		next := era(state) + 1
		clear(state)
		setRetries(bucket(state, k), retries)
		setNewest(state, k, next)
		return
	}
	last := newest(state)
	if k == last {
		return
	}
	for i := max(last, k-retriesCount) + 1; i <= k; i++ {
		clear(bucket(state, i))
	}
	setNewest(state, k, era(state))
}

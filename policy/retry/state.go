package retry

import (
	"encoding/binary"
	"math"
)

const (
	width         = 500_000_000 // of a bucket, nanoseconds
	requestsCount = 20          // buckets for which a request counts: up to 10 s
	retriesCount  = 21          // … a retry: 10 s at least
	longestTime   = 1 << 62     // keeps differences of times within 63 bits
)

// A budget's state is a region of bytes that is changed in place, a part of a record: it has no version of its own. Bucket
// k is the time from k x 0.5 s up to (k+1) x 0.5 s of a monotonic clock, and stands at place k mod 21. Little endian:
//
//	  0  u32  check over bytes 4 to 15, see check
//	  4  u32  era: how often the clock turned out to be another one
//	  8  i64  number of the newest bucket
//	 16  21 x { u32 requests, u32 retries }
//	184
//
// All zeros are a fresh one. The check leaves the buckets out: whatever they hold, a budget only counts wrongly, for
// 10.5 s at most.
const (
	atCheck   = 0
	atEra     = 4
	atNewest  = 8
	atBuckets = 16
	stateSize = atBuckets + 8*retriesCount
)

// Size is the number of bytes of a budget's state.
func (b *Budget) Size() int { return stateSize }

// Reset makes the state a fresh one. len(state) is Size.
func (b *Budget) Reset(state []byte) { clear(state) }

// Usable says whether these bytes are a budget's state, of whatever percentage and minimum: they are not part of it, and
// hold from the next call on when a policy changes. Others are treated as fresh (Reset).
func (b *Budget) Usable(state []byte) bool {
	if len(state) != stateSize {
		return false
	}
	k := newest(state)
	return k >= 0 && k <= longestTime/width && binary.LittleEndian.Uint32(state[atCheck:]) == check(k, era(state))
}

// check folds what it covers by steps that are each one-to-one, as sharedstate's records do. That of zeros is zero.
func check(newest int64, era uint32) uint32 {
	const prime = 0x9E3779B185EBCA87 // odd, 2^64 / golden ratio
	h := uint64(newest) * prime
	h ^= h >> 29
	h = (h ^ uint64(era)) * prime
	h ^= h >> 29
	h *= prime
	return uint32(h >> 32)
}

func newest(state []byte) int64 { return int64(binary.LittleEndian.Uint64(state[atNewest:])) }
func era(state []byte) uint32   { return binary.LittleEndian.Uint32(state[atEra:]) }

func setNewest(state []byte, k int64, era uint32) {
	binary.LittleEndian.PutUint64(state[atNewest:], uint64(k))
	binary.LittleEndian.PutUint32(state[atEra:], era)
	binary.LittleEndian.PutUint32(state[atCheck:], check(k, era))
}

func bucketAt(now int64) int64 { return min(max(now, 0), longestTime) / width }

// bucket is the eight bytes of bucket k.
func bucket(state []byte, k int64) []byte { return bucketIn(state, int(uint64(k)%retriesCount)) }

func bucketIn(state []byte, place int) []byte {
	at := atBuckets + 8*place
	return state[at : at+8]
}

func requestsIn(bucket []byte) int64 { return int64(binary.LittleEndian.Uint32(bucket)) }
func retriesIn(bucket []byte) int64  { return int64(binary.LittleEndian.Uint32(bucket[4:])) }

// The counts stay within 32 bits: at their largest rather than begin anew.
func setRequests(bucket []byte, n int64) {
	binary.LittleEndian.PutUint32(bucket, uint32(min(max(n, 0), math.MaxUint32)))
}

func setRetries(bucket []byte, n int64) {
	binary.LittleEndian.PutUint32(bucket[4:], uint32(min(max(n, 0), math.MaxUint32)))
}

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

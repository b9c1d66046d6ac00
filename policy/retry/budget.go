package retry

import (
	"math"

	"github.com/weir-mesh/weir/policy/fixedpoint"
)

// Budget bounds the retries of all workers by a share of the requests of the last 10 s and a minimum. It is read-only;
// what is counted stands in a state, bytes that the caller keeps (see state.go).
//
// The methods that take a state want one that Usable accepts, or that Reset made. They allocate nothing. now is a reading
// of a monotonic clock, in nanoseconds.
type Budget struct {
	share   int64 // retries a request, millionths
	minimum int64 // retries in 10 s, millionths
}

// NewBudget is a budget of percent (0 to 100) of the requests of the last 10 s and minPerSecond (0 to 1e6) x 10 more. The
// percentage is held to the nearest ten-thousandth. A fraction of a retry is none: 20 % of 4 requests are none, of 5
// are one.
func NewBudget(percent, minPerSecond float64) Budget {
	return Budget{share: fixedpoint.Millionths(percent/100, 0, 1), minimum: fixedpoint.Millionths(minPerSecond*10, 0, 1e7)}
}

// allowed is how many retries there may be for so many requests: 20 x 2^32 of them at most, which keeps this in 63 bits.
func (b *Budget) allowed(requests int64) int64 {
	return (requests*b.share + b.minimum) / fixedpoint.Micro
}

// Request counts a request: one that is sent upstream, for the first time.
func (b *Budget) Request(state []byte, now int64) {
	k, foreign := current(state, now)
	advance(state, k, foreign)
	into := bucket(state, k)
	setRequests(into, requestsIn(into)+1)
}

// Withdraw takes one retry, which is sent now. Where it is refused, ok is false and the state is as it was.
func (b *Budget) Withdraw(state []byte, now int64) (ok bool) {
	return b.Reserve(state, now, 1).Granted == 1
}

// Remaining is how many retries could be taken.
func (b *Budget) Remaining(state []byte, now int64) int64 {
	k, foreign := current(state, now)
	requests, retries := counted(state, k, foreign)
	return max(b.allowed(requests)-retries, 0)
}

// Reservation is what Reserve granted. It has one owner, who settles it once. The zero Reservation is one of nothing.
type Reservation struct {
	Granted int
	bucket  int64
	era     uint32
}

// Reserve takes up to n retries that somebody else may make. Where none is granted the state is as it was.
func (b *Budget) Reserve(state []byte, now int64, n int) Reservation {
	k, foreign := current(state, now)
	requests, retries := counted(state, k, foreign)
	granted := min(int64(n), b.allowed(requests)-retries)
	if granted <= 0 {
		return Reservation{}
	}
	advance(state, k, foreign)
	into := bucket(state, k)
	setRetries(into, retriesIn(into)+granted)
	return Reservation{Granted: int(granted), bucket: k, era: era(state)}
}

// Settle ends a reservation of which so many were used. What was reserved is given back where it still counts, and
// what was used counts from now on. It reports whether the state changed and must be stored.
func (b *Budget) Settle(state []byte, now int64, r Reservation, used int) (changed bool) {
	k, foreign := current(state, now)
	live := r.Granted > 0 && !foreign && r.era == era(state) && r.bucket > k-retriesCount && r.bucket <= newest(state)
	count := min(max(int64(used), 0), math.MaxUint32)
	if !live && count == 0 || live && r.bucket == k && count == int64(r.Granted) {
		return false
	}
	advance(state, k, foreign)
	if live {
		// A state that was reset meanwhile may have less than was reserved.
		from := bucket(state, r.bucket)
		setRetries(from, retriesIn(from)-int64(r.Granted))
	}
	into := bucket(state, k)
	setRetries(into, retriesIn(into)+count)
	return true
}

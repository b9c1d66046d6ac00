package retry

// Part is what one worker has of a budget apart from its state, so that it seldom changes the state. It is a value: the
// methods return the next one, which is valid once the state is stored, or at once where it did not change.
//
//	uncounted   requests that the state does not count yet: the budget is smaller by their share
//	spare       retries that the state counts as reserved and that no request has: the budget is smaller by them
//
// So what workers hold never makes a budget larger, and smaller by little. The first worker holds back at most 1/32 of the
// requests that count, the second 1/64, as its number says that there are two, the third 1/96: two together 1/21, four 1/15,
// sixteen 1/9. And each holds what it reserved for one request, or 1/8 of the retries that remain if that is less.
// With fewer than 32 requests in 10 s all are counted. Both are of the current half second alone: in it no request and no
// retry expires, so a spare retry is as one that is granted now. What a worker holds that ends, or gets no more requests,
// stops to count within 10.5 s. The zero Part holds nothing.
type Part struct {
	workers   int64
	era       uint32
	bucket    int64 // of what is uncounted
	uncounted int64
	room      int64 // how many may be uncounted
	most      int64 // how many may be spare
	spare     Reservation
}

const (
	uncountedShare = 32 // of the requests that count: one in so many
	spareShare     = 8  // of the retries that remain: one in so many
)

// NewPart is the part of one of at most so many workers, which holds nothing yet.
func NewPart(workers uint32) Part { return Part{workers: int64(max(workers, 1))} }

// RequestBy counts a request of this worker's when it is sent upstream for the first time, and reserves up to n retries
// that Envoy's router may make; n may be 0. It reports whether the state changed and must be stored.
func (b *Budget) RequestBy(p Part, state []byte, now int64, n int) (next Part, r Reservation, changed bool) {
	ours := p.isOf(state, now)
	if ours && p.uncounted < p.room && p.spare.Granted >= n {
		p.uncounted++
		r = p.take(n) // not in the return statement, which may copy p before or after the call
		return p, r, false
	}
	p = b.count(p, state, now)
	b.Request(state, now)
	if !ours {
		b.Settle(state, now, p.spare, 0)
		p.spare = Reservation{}
	}
	p.bucket, p.era = newest(state), era(state)
	requests, retries := counted(state, p.bucket, false)
	remaining := max(b.allowed(requests)-retries+int64(p.spare.Granted), 0)
	p.room = requests / (uncountedShare * max(p.workers, 1))
	p.most = min(remaining/spareShare, max(int64(n), p.most))
	if lack := n - p.spare.Granted; lack > 0 {
		p.put(b.Reserve(state, now, lack))
	}
	r = p.take(min(n, p.spare.Granted))
	return p, r, true
}

// SettleBy is Settle for a reservation that RequestBy made for this worker: what was not used of it may become spare.
func (b *Budget) SettleBy(p Part, state []byte, now int64, r Reservation, used int) (next Part, changed bool) {
	if used == 0 && p.isOf(state, now) && r.bucket == p.bucket && r.era == p.era && int64(p.spare.Granted+r.Granted) <= p.most {
		p.put(r)
		return p, false
	}
	return p, b.Settle(state, now, r, used)
}

// WithdrawBy is Withdraw, with what the worker has not counted yet. If it is refused the part is unchanged, too.
func (b *Budget) WithdrawBy(p Part, state []byte, now int64) (next Part, ok bool) {
	next = b.count(p, state, now)
	if !b.Withdraw(state, now) {
		return p, false
	}
	return next, true
}

// RemainingBy is Remaining, with what the worker has not counted yet. The state is changed, and not to be stored.
func (b *Budget) RemainingBy(p Part, state []byte, now int64) int64 {
	b.count(p, state, now)
	return b.Remaining(state, now)
}

// isOf reports whether the part is of the half second that is current in the state.
func (p *Part) isOf(state []byte, now int64) bool {
	k, foreign := current(state, now)
	return !foreign && p.era == era(state) && p.bucket == k
}

// count adds the uncounted requests to the state, where they still count.
func (b *Budget) count(p Part, state []byte, now int64) Part {
	if p.uncounted == 0 {
		return p
	}
	k, foreign := current(state, now)
	if !foreign && p.era == era(state) && p.bucket > k-requestsCount && p.bucket <= k {
		advance(state, k, foreign)
		into := bucket(state, p.bucket)
		setRequests(into, requestsIn(into)+p.uncounted)
	}
	p.uncounted = 0
	return p
}

// take is n of the spare retries.
func (p *Part) take(n int) Reservation {
	if n <= 0 {
		return Reservation{}
	}
	r := p.spare
	r.Granted = n
	p.spare.Granted -= n
	return r
}

// put makes retries spare; those that are spare already are of the same half second.
func (p *Part) put(r Reservation) {
	if r.Granted > 0 {
		r.Granted += p.spare.Granted
		p.spare = r
	}
}

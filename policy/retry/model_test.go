package retry

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// numbers is a budget as its policy writes it, in exact numbers.
type numbers struct {
	percent      *big.Rat
	minPerSecond *big.Rat
}

func (n *numbers) budget() Budget {
	percent, _ := n.percent.Float64()
	minimum, _ := n.minPerSecond.Float64()
	return NewBudget(percent, minimum)
}

// bound is percent % of the requests and so many times the minimum of 10 s.
func (n *numbers) bound(requests int, times int64) *big.Rat {
	share := new(big.Rat).Mul(n.percent, big.NewRat(int64(requests), 100))
	return share.Add(share, new(big.Rat).Mul(n.minPerSecond, big.NewRat(10*times, 1)))
}

func anyNumbers(t *rapid.T) *numbers {
	return &numbers{
		percent:      big.NewRat(rapid.SampledFrom([]int64{0, 1, 70, 200, 333, 500, 1000}).Draw(t, "percent, tenths"), 10),
		minPerSecond: big.NewRat(rapid.SampledFrom([]int64{0, 1, 3, 5, 7, 30}).Draw(t, "min_per_second, tenths"), 10),
	}
}

// whole is r rounded down.
func whole(r *big.Rat) int64 { return new(big.Int).Div(r.Num(), r.Denom()).Int64() }

// event is a request or some retries, and the half second that they count in.
type event struct {
	k, n int64
	live bool // settle may still take it back
}

// model is an obviously correct budget: lists of all events.
type model struct {
	*numbers
	newest   int64
	requests []event
	retries  []*event
}

// moment is the half second in which now counts, and what is allowed in it.
func (m *model) moment(now int64) (k, remaining int64, foreign bool) {
	k = now / width
	foreign = m.newest-k > 20
	if !foreign {
		k = max(k, m.newest)
	}
	requests, retries := 0, int64(0)
	for _, e := range m.requests {
		if !foreign && e.k > k-20 {
			requests += int(e.n)
		}
	}
	for _, e := range m.retries {
		if foreign && e.k > m.newest-21 || !foreign && e.k > k-21 {
			retries += e.n
		}
	}
	return k, max(whole(m.bound(requests, 1))-retries, 0), foreign
}

// move advances the model to a half second.
func (m *model) move(k int64, foreign bool) {
	if foreign {
		m.requests = nil
		for _, e := range m.retries {
			if e.k <= m.newest-21 {
				e.n = 0
			}
			e.k, e.live = k, false
		}
	}
	m.newest = k
}

// TestBudgetEqualsItsModel compares both, on a clock that jumps.
func TestBudgetEqualsItsModel(t *testing.T) {
	refused, jumped, late := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		m := &model{numbers: anyNumbers(t)}
		b := m.budget()
		state := fresh()
		var reserved []Reservation
		var granted []*event // for each reservation
		now := rapid.Int64Range(0, int64(1000*second)).Draw(t, "begin")
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			now = max(0, now+rapid.OneOf(
				rapid.Just[int64](0),
				rapid.Int64Range(0, int64(400*ms)),
				rapid.Int64Range(0, int64(3*second)),
				rapid.Int64Range(-int64(20*ms), 0),
				rapid.SampledFrom([]int64{width, 9 * int64(second), 10 * int64(second), 21 * width, 22 * width, 100 * width}),
				rapid.SampledFrom([]int64{-width, -20 * width, -21 * width, -22 * width, -300 * width}),
			).Draw(t, "pass"))
			k, remaining, foreign := m.moment(now)
			if foreign {
				jumped++
			}
			if got := b.Remaining(state, now); got != remaining {
				t.Fatalf("at %d: Remaining = %d, want %d by the model", now, got, remaining)
			}
			switch rapid.SampledFrom([]string{"request", "request", "withdraw", "reserve", "settle"}).Draw(t, "do") {
			case "request":
				n := rapid.IntRange(1, 20).Draw(t, "requests")
				for range n {
					b.Request(state, now)
				}
				m.move(k, foreign)
				m.requests = append(m.requests, event{k: k, n: int64(n)})
			case "withdraw":
				ok := b.Withdraw(state, now)
				if ok != (remaining > 0) {
					t.Fatalf("at %d: Withdraw = %v, the model has %d remaining", now, ok, remaining)
				}
				if ok {
					m.move(k, foreign)
					m.retries = append(m.retries, &event{k: k, n: 1})
				} else {
					refused++
				}
			case "reserve":
				n := rapid.IntRange(0, 9).Draw(t, "retries")
				r := b.Reserve(state, now, n)
				if want := min(int64(n), remaining); int64(r.Granted) != want {
					t.Fatalf("at %d: got %d of %d reserved, want %d by the model", now, r.Granted, n, want)
				}
				e := &event{k: k, n: int64(r.Granted), live: r.Granted > 0}
				if r.Granted > 0 {
					m.move(k, foreign)
					m.retries = append(m.retries, e)
				}
				reserved, granted = append(reserved, r), append(granted, e)
			case "settle":
				if len(reserved) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(reserved)-1).Draw(t, "which")
				e, used := granted[i], rapid.IntRange(0, reserved[i].Granted).Draw(t, "used")
				back := e.live && !foreign && e.k > k-21
				if e.live && !back {
					late++
				}
				if want := back && (e.k != k || e.n != int64(used)) || !back && used > 0; want != b.Settle(state, now, reserved[i], used) {
					t.Fatalf("at %d: Settle = %v, want %v", now, !want, want)
				} else if want {
					m.move(k, foreign)
					if back {
						e.n = 0
					}
					m.retries = append(m.retries, &event{k: k, n: int64(used)})
				}
				reserved, granted = append(reserved[:i:i], reserved[i+1:]...), append(granted[:i:i], granted[i+1:]...)
			}
			if _, want, _ := m.moment(now); b.Remaining(state, now) != want || !b.Usable(state) {
				t.Fatalf("at %d: %d remain, the model says %d; %x", now, b.Remaining(state, now), want, state)
			}
		}
	})
	if refused == 0 || jumped == 0 || late == 0 {
		t.Errorf("the draws are too weak: got %d refused, %d jumps, %d settled late, want some of each", refused, jumped, late)
	}
}

// between counts the times in (from, to].
func between(times []int64, from, to int64) (n int) {
	for _, at := range times {
		if at > from && at <= to {
			n++
		}
	}
	return n
}

func retriesFit(retries int, bound *big.Rat) bool {
	return new(big.Rat).SetInt64(int64(retries)).Cmp(bound) <= 0
}

const tenSeconds = int64(10 * second)

// chunks is how often the minimum may have been granted in all from the first to the last of these times.
func chunks(first, last int64) int64 { return (last/width-first/width)/retriesCount + 1 }

// pass draws the time between two events: little enough to use the budget up, sometimes enough for all to expire.
var pass = rapid.OneOf(
	rapid.Just[int64](0),
	rapid.Int64Range(0, int64(100*ms)),
	rapid.Int64Range(0, int64(100*ms)),
	rapid.Int64Range(0, int64(2*second)),
	rapid.SampledFrom([]int64{width - 1, width, width + 1, tenSeconds - 1, tenSeconds, tenSeconds + 1, 21 * width, 3 * tenSeconds}),
)

// TestPromise checks the budget's promises with the times of all requests and retries, to the nanosecond: at each retry
// for the 10 s up to it and for all time; and at each refusal, that it was necessary.
func TestPromise(t *testing.T) {
	taken, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		n := anyNumbers(t)
		b := n.budget()
		state := fresh()
		now := rapid.Int64Range(0, int64(1000*second)).Draw(t, "begin")
		begin := now
		var requests, retries []int64
		for range rapid.IntRange(50, 400).Draw(t, "steps") {
			now += pass.Draw(t, "pass")
			if rapid.Bool().Draw(t, "request") {
				for range rapid.IntRange(1, 10).Draw(t, "requests") {
					b.Request(state, now)
					requests = append(requests, now)
				}
				continue
			}
			for range rapid.IntRange(1, 10).Draw(t, "retries") {
				if b.Withdraw(state, now) {
					taken++
					retries = append(retries, now)
					if r, q := between(retries, now-tenSeconds, now), between(requests, now-tenSeconds, now); !retriesFit(r, n.bound(q, 1)) {
						t.Fatalf("at %d: got %d retries for %d requests in the 10 s before, want fewer", now, r, q)
					}
					continue
				}
				refused++
				if r, q := between(retries, now-21*width, now), between(requests, now-19*width, now); retriesFit(r+1, n.bound(q, 1)) {
					t.Fatalf("at %d: got refused with %d retries for %d requests, want granted", now, r, q)
				}
			}
		}
		if !retriesFit(len(retries), n.bound(len(requests), chunks(begin, now))) {
			t.Fatalf("got %d retries for %d requests in %d ns, want fewer", len(retries), len(requests), now-begin)
		}
	})
	if taken == 0 || refused == 0 {
		t.Errorf("the draws are too weak: got %d taken, %d refused, want both", taken, refused)
	}
}

// inFlight is a request whose retries are made by Envoy's router.
type inFlight struct {
	Reservation
	worker int
	since  int64
	used   int
}

// router is a budget that is used by reservations, with the times of all requests and retries.
type router struct {
	*numbers
	b        Budget
	state    []byte
	parts    []Part // of the workers
	quiet    int    // requests that did not change the state
	now      int64
	flights  []*inFlight
	requests []int64
	retries  []int64 // when each was sent
	granted  []int64 // … and when it was reserved
	given    int     // reservations' retries that were never used
}

func (r *router) begin(worker, n int) {
	next, reserved, changed := r.b.RequestBy(r.parts[worker], r.state, r.now, n)
	r.parts[worker] = next
	if !changed {
		r.quiet++
	}
	r.requests = append(r.requests, r.now)
	r.flights = append(r.flights, &inFlight{Reservation: reserved, worker: worker, since: r.now})
}

func (r *router) retry(f *inFlight) (ok bool) {
	if f.used == f.Granted {
		return false
	}
	f.used++
	r.retries, r.granted = append(r.retries, r.now), append(r.granted, f.since)
	return true
}

// end ends a request; one whose worker crashed does not settle.
func (r *router) end(i int, crashed bool) {
	f := r.flights[i]
	r.flights = append(r.flights[:i:i], r.flights[i+1:]...)
	if !crashed {
		r.given += f.Granted - f.used
		r.parts[f.worker], _ = r.b.SettleBy(r.parts[f.worker], r.state, r.now, f.Reservation, f.used)
	}
}

// pass advances the clock. If requests must settle within 10 s, those that are due do, the oldest first.
func (r *router) pass(by int64, within bool) {
	now := r.now + by
	for within && len(r.flights) > 0 && r.flights[0].since+tenSeconds <= now {
		r.now = max(r.now, r.flights[0].since+tenSeconds)
		r.end(0, false)
	}
	r.now = now
}

// TestReservationsPromise checks the same promises for reserved retries, with the times at which they were sent, where up
// to 4 workers each have a part of the budget, and some crash. That
// for any 10 s, by the requests before the last grant, holds for requests that settle within 10 s; that for all time
// holds for all, also for those that settle a minute later or never.
func TestReservationsPromise(t *testing.T) {
	for _, tc := range []struct {
		name   string
		within bool
	}{{"settled within 10 s", true}, {"settled late, or never", false}} {
		t.Run(tc.name, func(t *testing.T) {
			sent, none, given, quiet := 0, 0, 0, 0
			rapid.Check(t, func(t *rapid.T) {
				n := anyNumbers(t)
				r := &router{numbers: n, b: n.budget(), state: fresh(), now: rapid.Int64Range(0, int64(1000*second)).Draw(t, "begin")}
				begin := r.now
				r.parts = make([]Part, rapid.IntRange(1, 4).Draw(t, "workers"))
				for i := range r.parts {
					r.parts[i] = NewPart(uint32(len(r.parts)))
				}
				for range rapid.IntRange(50, 400).Draw(t, "steps") {
					r.pass(pass.Draw(t, "pass"), tc.within)
					worker := rapid.IntRange(0, len(r.parts)-1).Draw(t, "worker")
					do := rapid.SampledFrom([]string{"begin", "begin", "retry", "retry", "end", "crash", "new worker"}).Draw(t, "do")
					if do == "new worker" { // in the place of one that crashed
						r.parts[worker] = NewPart(uint32(len(r.parts)))
						continue
					}
					if do == "begin" {
						for range rapid.IntRange(1, 100).Draw(t, "requests") {
							r.begin(worker, rapid.IntRange(0, 9).Draw(t, "retries"))
							if r.flights[len(r.flights)-1].Granted == 0 {
								none++
							}
						}
						continue
					}
					if len(r.flights) == 0 {
						continue
					}
					i := rapid.IntRange(0, len(r.flights)-1).Draw(t, "which")
					switch do {
					case "retry":
						for r.retry(r.flights[i]) {
							sent++
						}
						if tc.within {
							r.check(t)
						}
					case "end", "crash":
						r.end(i, do == "crash" && !tc.within)
					}
				}
				given += r.given
				quiet += r.quiet
				if !retriesFit(len(r.retries), n.bound(len(r.requests), chunks(begin, r.now))) {
					t.Fatalf("got %d retries for %d requests in %d ns, want fewer", len(r.retries), len(r.requests), r.now-begin)
				}
			})
			if sent == 0 || none == 0 || given == 0 || quiet == 0 {
				t.Errorf("the draws are too weak: got %d sent, %d granted none, %d given back, %d without a change, want some of each", sent, none, given, quiet)
			}
		})
	}
}

// check compares the retries of the 10 s up to now with the requests of the 10 s before the last grant of one of them.
func (r *router) check(t *rapid.T) {
	last, sent := int64(-1), 0
	for i, at := range r.retries {
		if at > r.now-tenSeconds {
			sent++
			last = max(last, r.granted[i])
		}
	}
	if requests := between(r.requests, last-tenSeconds, last); sent > 0 && !retriesFit(sent, r.bound(requests, 1)) {
		t.Fatalf("at %d: got %d retries for %d requests in the 10 s before the last grant, want fewer", r.now, sent, requests)
	}
}

// TestStorm fails all requests of a steady load, retries each as often as allowed, and prints the share.
func TestStorm(t *testing.T) {
	n := &numbers{big.NewRat(20, 1), big.NewRat(3, 1)}
	for _, tc := range []struct {
		name string
		step func(b *Budget, state []byte, now int64) (retries int)
	}{
		{"withdrawn", func(b *Budget, state []byte, now int64) (retries int) {
			b.Request(state, now)
			for retries < 2 && b.Withdraw(state, now) {
				retries++
			}
			return retries
		}},
		{"reserved", func(b *Budget, state []byte, now int64) int {
			b.Request(state, now)
			r := b.Reserve(state, now, 2)
			b.Settle(state, now+int64(200*ms), r, r.Granted)
			return r.Granted
		}},
	} {
		b := n.budget()
		state, requests, retries := fresh(), 0, 0
		begin := int64(1000 * second)
		end := begin + int64(100*second)
		for now := begin; now < end; now += int64(ms) {
			requests++
			retries += tc.step(&b, state, now)
		}
		t.Logf("%s: %d requests, %d retries: %.1f %%", tc.name, requests, retries, 100*float64(retries)/float64(requests))
		// At most the share and the minimum; and a steady storm gets at least 20/21 of the share.
		if most := n.bound(requests, chunks(begin, end-1)); !retriesFit(retries, most) {
			t.Errorf("%s: got %d retries, want at most %v", tc.name, retries, most)
		}
		if least := requests / 5 * requestsCount / retriesCount; retries < least {
			t.Errorf("%s: got %d retries, want at least %d", tc.name, retries, least)
		}
	}
}

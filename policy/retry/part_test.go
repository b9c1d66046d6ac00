package retry

import (
	"math/big"
	"testing"
)

// TestPartsOfASteadyLoad has 1 to 4 workers use a budget in turn: how often its state changes, and what is left of it.
func TestPartsOfASteadyLoad(t *testing.T) {
	const seconds = 30
	for _, tc := range []struct {
		name      string
		workers   int
		perSecond int
		router    int // retries that the router may make of a request
		fail      int // one request in so many fails, and has all of its retries made; 0: none
		changes   int // at most, of 100 requests
	}{
		{"the filter makes the retries, none", 1, 1000, 0, 0, 1},
		{"the filter makes the retries, none, 4 workers", 4, 1000, 0, 0, 3},
		{"few requests", 1, 100, 0, 0, 10},
		{"the router's, none made", 1, 1000, 3, 0, 1},
		{"the router's, none made, 4 workers", 4, 1000, 3, 0, 3},
		{"the router's, one request in a hundred", 2, 1000, 3, 100, 4},
		{"an outage", 2, 1000, 3, 1, 200},
	} {
		n := &numbers{big.NewRat(20, 1), big.NewRat(3, 1)}
		b, state := n.budget(), fresh()
		parts := make([]Part, tc.workers)
		for i := range parts {
			parts[i] = NewPart(uint32(tc.workers))
		}
		requests, changes, retries := 0, 0, 0
		for i := range seconds * tc.perSecond {
			now := 1000*int64(second) + int64(i)*int64(second)/int64(tc.perSecond)
			p := &parts[i%tc.workers]
			next, r, changed := b.RequestBy(*p, state, now, tc.router)
			*p = next
			used := 0
			if tc.fail > 0 && i%tc.fail == 0 {
				used = r.Granted
			}
			next, settled := *p, false
			if r.Granted > 0 {
				next, settled = b.SettleBy(*p, state, now, r, used)
			}
			*p = next
			if i < 10*tc.perSecond { // until as many requests count as ever will
				continue
			}
			requests++
			retries += used
			changes += count(changed) + count(settled)
		}
		if changes*100 > tc.changes*requests {
			t.Errorf("%s: got %d changes of the state by %d requests, want at most %d %%", tc.name, changes, requests, tc.changes)
		}
		// Of the share of a steady storm 20 of 21 are used without parts, see TestStorm; the parts hold back 1/32, and 3 for each worker.
		if least := requests / 5 * requestsCount / retriesCount * 29 / 32; tc.fail == 1 && retries < least {
			t.Errorf("%s: got %d retries of %d requests, want at least %d", tc.name, retries, requests, least)
		}
		if most := n.bound(requests, seconds/10); !retriesFit(retries, most) {
			t.Errorf("%s: got %d retries of %d requests, want at most %v", tc.name, retries, requests, most)
		}
		last := 1000*int64(second) + seconds*int64(second) - 1
		if got, most := b.Remaining(state, last), b.allowed(int64(10*tc.perSecond)); tc.fail == 0 && (got < most*30/32 || got > most) {
			t.Errorf("%s: %d retries remain, want at least 30/32 of %d", tc.name, got, most)
		}
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestPartsOfFewRequests has two workers use a small budget by turns: with fewer than 32 requests it is exact.
func TestPartsOfFewRequests(t *testing.T) {
	b, state := NewBudget(20, 0), fresh()
	parts := [2]Part{NewPart(2), NewPart(2)}
	now := int64(100 * second)
	for i := range 10 {
		next, _, changed := b.RequestBy(parts[i%2], state, now, 0)
		if parts[i%2] = next; !changed {
			t.Errorf("request %d: got no change, want one", i+1)
		}
	}
	for i, want := range []bool{true, true, false} {
		next, got := b.WithdrawBy(parts[i%2], state, now)
		if parts[i%2] = next; got != want {
			t.Errorf("WithdrawBy %d = %v, want %v: 20 %% of 10 requests are 2", i+1, got, want)
		}
	}
}

// TestUncountedRequestsCount has a worker that is alone ask for what only its uncounted requests allow.
func TestUncountedRequestsCount(t *testing.T) {
	b, state, p := NewBudget(1, 0), fresh(), NewPart(1)
	now, uncounted := int64(100*second), 0
	for i := int64(1); i <= 400; i++ {
		if p, _, _ = b.RequestBy(p, state, now, 0); p.uncounted > 0 {
			uncounted++
		}
		copied := append([]byte(nil), state...)
		if got, want := b.RemainingBy(p, copied, now), i/100; got != want {
			t.Fatalf("after %d requests, %d of them uncounted: RemainingBy = %d, want %d", i, p.uncounted, got, want)
		}
		copied = append([]byte(nil), state...)
		if _, got := b.WithdrawBy(p, copied, now); got != (i >= 100) {
			t.Fatalf("after %d requests, %d of them uncounted: WithdrawBy = %v, want %v", i, p.uncounted, got, !got)
		}
	}
	if uncounted == 0 {
		t.Error("no request was uncounted: the case tests nothing")
	}
}

// TestReservationsThatBecomeSpare settles requests, by a worker that is alone. The budget has
// 1,000 retries, and its worker may have spare ones for one request.
func TestReservationsThatBecomeSpare(t *testing.T) {
	for _, tc := range []struct {
		name     string
		requests int   // of 3 retries each
		after    int64 // when they end, as another one begins
		used     int   // retries that were made of each
		changes  int   // of the state by their ends
	}{
		{"at once", 10, int64(ms), 0, 9},
		{"at once, one retry made", 10, int64(ms), 1, 10},
		{"in the next half second", 10, width, 0, 10},
		{"after they expired", 10, 22 * width, 0, 0},
		{"on another clock", 10, -40 * width, 0, 0},
	} {
		b, state, p := NewBudget(0, 100), fresh(), NewPart(1)
		now := int64(100 * second)
		var reserved []Reservation
		for range tc.requests {
			var r Reservation
			p, r, _ = b.RequestBy(p, state, now, 3)
			reserved = append(reserved, r)
		}
		now += tc.after
		p, _, _ = b.RequestBy(p, state, now, 0)
		changes := 0
		for i, r := range reserved {
			var changed bool
			if p, changed = b.SettleBy(p, state, now, r, tc.used); changed {
				changes++
			}
			if p.spare.Granted > int(p.most) {
				t.Errorf("%s: end %d: got %d spare retries, want at most %d", tc.name, i+1, p.spare.Granted, p.most)
			}
		}
		if changes != tc.changes {
			t.Errorf("%s: got %d changes by the ends of %d requests, want %d", tc.name, changes, tc.requests, tc.changes)
		}
		// With what is spare, all but what was used can be had.
		b.Settle(state, now, p.spare, 0)
		if got, want := b.Remaining(state, now), int64(1000-tc.used*tc.requests); got != want && tc.after > 0 {
			t.Errorf("%s: %d retries remain, want %d", tc.name, got, want)
		}
	}
}

// TestWhenUncountedRequestsAreCounted has a worker count a request long after those that it did not count.
func TestWhenUncountedRequestsAreCounted(t *testing.T) {
	for _, tc := range []struct {
		name  string
		after int64
		want  int64 // requests that count then, of 100 and the last one
	}{
		{"in the same half second", 0, 101},
		{"in the next one", width, 101},
		{"in the last one in which they count", 19 * width, 101},
		{"too late", 20 * width, 1},
		{"a whole turn later", 21 * width, 1},
		{"much later", 1000 * width, 1},
		{"on another clock", -40 * width, 1},
	} {
		b, state, p := NewBudget(100, 0), fresh(), NewPart(1)
		now := int64(100 * second)
		for range 100 {
			p, _, _ = b.RequestBy(p, state, now, 0)
		}
		if p.uncounted == 0 {
			t.Fatal("no request is uncounted: the case tests nothing")
		}
		now += tc.after
		p, _, _ = b.RequestBy(p, state, now, 0)
		if got := b.RemainingBy(p, state, now); got != tc.want {
			t.Errorf("%s: %d requests count, want %d", tc.name, got, tc.want)
		}
	}
}

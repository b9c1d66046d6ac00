package retry

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/weir-mesh/weir/policy/packed"
)

func fresh() []byte { return make([]byte, stateSize) }

func TestMoments(t *testing.T) {
	type do int
	const (
		request do = iota
		withdraw
		reserve
		settle
		look // at what remains, nothing else
	)
	type moment struct {
		at        int64 // milliseconds
		do        do
		ask       int // requests, retries to withdraw or reserve, or of a reservation used
		want      int // of them granted; settle: 1 where the state changed
		of        int // settle: which reservation, from 0
		remaining int64
	}
	for _, tc := range []struct {
		name                  string
		percent, minPerSecond float64
		moments               []moment
	}{
		{"the defaults, without requests", 20, 3, []moment{
			{at: 100_000, do: look, remaining: 30},
			{at: 100_000, do: withdraw, ask: 31, want: 30},
			{at: 110_499, do: withdraw, ask: 1},
			{at: 110_500, do: withdraw, ask: 31, want: 30},
		}},
		{"a fraction of a retry is none", 20, 0, []moment{
			{at: 100_000, do: request, ask: 4},
			{at: 100_000, do: withdraw, ask: 1},
			{at: 100_000, do: request, ask: 1, remaining: 1},
			{at: 100_000, do: withdraw, ask: 2, want: 1},
		}},
		{"fractions of both add up", 20, 0.05, []moment{
			{at: 100_000, do: request, ask: 2},
			{at: 100_000, do: request, ask: 1, remaining: 1}, // 0.6 + 0.5
		}},
		{"a request counts for up to 10 s", 50, 0, []moment{
			{at: 100_000, do: request, ask: 2, remaining: 1},
			{at: 109_999, do: look, remaining: 1},
			{at: 110_000, do: look},
		}},
		{"a request late in its half second counts for 9.5 s", 50, 0, []moment{
			{at: 100_499, do: request, ask: 2, remaining: 1},
			{at: 109_999, do: look, remaining: 1},
			{at: 110_000, do: look},
		}},
		{"a retry late in its half second counts for 10 s", 0, 0.1, []moment{
			{at: 100_499, do: withdraw, ask: 1, want: 1},
			{at: 110_499, do: withdraw, ask: 1},
			{at: 110_500, do: withdraw, ask: 1, want: 1},
		}},
		{"no percentage, no minimum", 0, 0, []moment{
			{at: 100_000, do: request, ask: 1000},
			{at: 100_000, do: withdraw, ask: 1},
			{at: 100_000, do: reserve, ask: 1},
		}},
		{"each request may be retried once", 100, 0, []moment{
			{at: 100_000, do: request, ask: 3, remaining: 3},
			{at: 100_600, do: withdraw, ask: 4, want: 3},
		}},
		{"a reservation takes what is left, and gives back what it did not use", 0, 0.5, []moment{
			{at: 100_000, do: reserve, ask: 2, want: 2, remaining: 3},
			{at: 100_700, do: reserve, ask: 9, want: 3},
			{at: 100_800, do: reserve, ask: 1},
			{at: 101_000, do: settle, of: 0, ask: 0, want: 1, remaining: 2},
			{at: 101_000, do: settle, of: 1, ask: 1, want: 1, remaining: 4},
		}},
		{"what was used counts from its settling", 0, 0.5, []moment{
			{at: 100_000, do: reserve, ask: 3, want: 3, remaining: 2},
			{at: 108_000, do: settle, ask: 3, want: 1, remaining: 2},
			{at: 118_499, do: look, remaining: 2},
			{at: 118_500, do: look, remaining: 5},
		}},
		{"settled at once with all used, nothing changes", 0, 0.5, []moment{
			{at: 100_000, do: reserve, ask: 3, want: 3, remaining: 2},
			{at: 100_499, do: settle, ask: 3, remaining: 2},
		}},
		{"a reservation that nobody settles is over", 0, 0.5, []moment{
			{at: 100_000, do: reserve, ask: 5, want: 5},
			{at: 110_499, do: look},
			{at: 110_500, do: look, remaining: 5},
		}},
		{"settled when it was over: what was used counts, and nothing is given back", 0, 0.5, []moment{
			{at: 100_000, do: reserve, ask: 2, want: 2, remaining: 3},
			{at: 105_000, do: withdraw, ask: 3, want: 3},
			{at: 110_500, do: settle, ask: 0, remaining: 2},
			{at: 110_500, do: settle, ask: 1, want: 1, remaining: 1},
		}},
		{"more used than there were: they count, and the debt is borne", 0, 0.1, []moment{
			{at: 100_000, do: reserve, ask: 1, want: 1},
			{at: 100_000, do: settle, ask: 3, want: 1},
			{at: 110_499, do: look},
			{at: 110_500, do: look, remaining: 1},
		}},
		{"nothing asked, nothing settled", 0, 1, []moment{
			{at: 100_000, do: reserve, ask: 0, remaining: 10},
			{at: 100_000, do: reserve, ask: -1, remaining: 10},
			{at: 100_000, do: settle, ask: 0, remaining: 10},
			{at: 100_000, do: settle, ask: -1, remaining: 10},
		}},
		{"another worker's reading is of a bit earlier: it counts as of the newest half second", 50, 0, []moment{
			{at: 100_500, do: request, ask: 2, remaining: 1},
			{at: 100_400, do: withdraw, ask: 2, want: 1},
			{at: 110_999, do: request, ask: 100, remaining: 49},
			{at: 111_000, do: look, remaining: 50},
		}},
		{"the clock jumps back: retries are just made, requests are forgotten", 50, 0.1, []moment{
			{at: 100_000, do: request, ask: 10, remaining: 6},
			{at: 100_000, do: withdraw, ask: 4, want: 4, remaining: 2},
			{at: 90_000, do: look, remaining: 2}, // 10 s: another worker's, for all we know
			{at: 89_400, do: look},
			{at: 89_400, do: request, ask: 2},
			{at: 89_400, do: request, ask: 6, remaining: 1},
			{at: 89_400, do: withdraw, ask: 2, want: 1},
			{at: 99_500, do: look, remaining: 1}, // the requests are over, the retries are too
		}},
		{"a reservation of before the jump is not given back", 0, 0.5, []moment{
			{at: 100_000, do: reserve, ask: 4, want: 4, remaining: 1},
			{at: 50_000, do: withdraw, ask: 1, want: 1},
			{at: 50_000, do: settle, ask: 0},
			{at: 60_500, do: look, remaining: 5},
		}},
		{"… not even when that time comes again", 0, 0.5, []moment{
			{at: 100_000, do: reserve, ask: 4, want: 4, remaining: 1},
			{at: 89_000, do: withdraw, ask: 1, want: 1},
			{at: 100_000, do: reserve, ask: 5, want: 5},
			{at: 100_000, do: settle, of: 0, ask: 0},
			{at: 100_000, do: settle, of: 1, ask: 0, want: 1, remaining: 5},
		}},
		{"the first half second of the clock", 50, 0, []moment{
			{at: 0, do: request, ask: 2, remaining: 1},
			{at: 0, do: withdraw, ask: 2, want: 1},
		}},
		{"a clock below zero is at zero", 50, 0, []moment{
			{at: -5000, do: request, ask: 2, remaining: 1},
			{at: 9999, do: look, remaining: 1},
			{at: 10_000, do: look},
		}},
		{"a long pause", 0, 0.1, []moment{
			{at: 100_000, do: withdraw, ask: 1, want: 1},
			{at: 100_000_000_000, do: withdraw, ask: 2, want: 1},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := NewBudget(tc.percent, tc.minPerSecond)
			state := fresh()
			var reserved []Reservation
			for i, m := range tc.moments {
				now, before, got := m.at*int64(ms), slices.Clone(state), 0
				switch m.do {
				case request:
					for range m.ask {
						b.Request(state, now)
					}
				case withdraw:
					for range m.ask {
						before = slices.Clone(state)
						if !b.Withdraw(state, now) {
							break
						}
						got++
					}
					if got < m.ask && !bytes.Equal(state, before) {
						t.Fatalf("moment %d: a refusal changed the state", i)
					}
				case reserve:
					reserved = append(reserved, b.Reserve(state, now, m.ask))
					got = reserved[len(reserved)-1].Granted
				case settle:
					if b.Settle(state, now, reserved[m.of], m.ask) {
						got = 1
					}
					if (got == 1) == bytes.Equal(state, before) {
						t.Fatalf("moment %d: changed: %v, by the bytes: %v", i, got == 1, got != 1)
					}
				}
				if got != m.want {
					t.Fatalf("moment %d: got %d, want %d", i, got, m.want)
				}
				if got := b.Remaining(state, now); got != m.remaining {
					t.Fatalf("moment %d: %d remain, want %d", i, got, m.remaining)
				}
				if !b.Usable(state) {
					t.Fatalf("moment %d: not usable: %x", i, state)
				}
			}
		})
	}
}

func TestNumbersAreHeld(t *testing.T) {
	for _, tc := range []struct {
		percent, minPerSecond float64
		requests, want        int64
	}{
		{20, 3, 1000, 230},
		{0.07, 0, 100_000, 70}, // 0.07 x 100,000 is a little more than 7,000 in floats, 0.07 / 100 a little less than 0.0007
		{33.3333, 0, 1_000_000, 333_333},
		{29, 0, 100, 29},
		{0.0029, 0, 1_000_000, 29}, // 0.0029 / 100 is a little less than 29 millionths
		{0, 0.1, 1000, 1},
		{0, 0.7, 1000, 7},
		{100, 1e6, 0, 1e7},
		{100, 1e6, requestsCount * math.MaxUint32, requestsCount*math.MaxUint32 + 1e7},
		{1000, 1e9, 10, 10 + 1e7},
		{-1, -1, 1000, 0},
		{math.NaN(), math.NaN(), 1000, 0},
		{math.Inf(1), math.Inf(1), 5, 5 + 1e7},
	} {
		b := NewBudget(tc.percent, tc.minPerSecond)
		if got := b.allowed(tc.requests); got != tc.want {
			t.Errorf("%g %% of %d and %g a second: %d, want %d", tc.percent, tc.requests, tc.minPerSecond, got, tc.want)
		}
	}
}

// TestPolicyChanges gives a state to a budget of other numbers: what was counted counts for it.
func TestPolicyChanges(t *testing.T) {
	small, large := NewBudget(0, 1), NewBudget(0, 2)
	state, now := fresh(), int64(100*second)
	for range 10 {
		if !small.Withdraw(state, now) {
			t.Fatal("refused")
		}
	}
	if !large.Usable(state) || large.Remaining(state, now) != 10 || small.Remaining(state, now) != 0 {
		t.Errorf("the larger has %d, the smaller %d", large.Remaining(state, now), small.Remaining(state, now))
	}
}

// TestResetMeanwhile settles a reservation of which the state knows nothing any more. Where the clock is behind, its place
// in the ring is that of a half second of now: what others took in it is not given back.
func TestResetMeanwhile(t *testing.T) {
	b := NewBudget(0, 3)
	state, now := fresh(), int64(100*second)
	r := b.Reserve(state, now, 5)
	b.Reset(state)
	now -= width
	for k := int64(-20); k <= 0; k++ {
		if !b.Withdraw(state, now+k*width) {
			t.Fatal("refused")
		}
	}
	if changed := b.Settle(state, now, r, 0); changed || b.Remaining(state, now) != 9 {
		t.Errorf("changed: %v, %d remain of 30 - 21", changed, b.Remaining(state, now))
	}
}

func TestUnusableStates(t *testing.T) {
	b := NewBudget(20, 3)
	good := fresh()
	b.Request(good, int64(100*second))
	beyond := slices.Clone(good)
	setNewest(beyond, longestTime/width+1, 0)
	negative := slices.Clone(good)
	setNewest(negative, -1, 0)
	for _, tc := range []struct {
		name   string
		state  []byte
		usable bool
	}{
		{"a state", good, true},
		{"zeros", fresh(), true},
		{"nothing", nil, false},
		{"cut", good[:stateSize-1], false},
		{"too long", append(slices.Clone(good), 0), false},
		{"another newest bucket", flip(good, atNewest), false},
		{"another check", flip(good, packed.CheckAt), false},
		{"another era", flip(good, atEra), false},
		{"a time that no clock has", beyond, false},
		{"a negative time", negative, false},
		{"a torn bucket counts wrongly", flip(good, atBuckets), true},
	} {
		if got := b.Usable(tc.state); got != tc.usable {
			t.Errorf("%s: usable: %v", tc.name, got)
		}
	}
	if b.Reset(good); !bytes.Equal(good, fresh()) || b.Size() != len(good) {
		t.Errorf("reset: %x, size %d", good, b.Size())
	}
}

func flip(state []byte, at int) []byte {
	flipped := slices.Clone(state)
	flipped[at] ^= 1
	return flipped
}

// TestCountsDoNotOverflow fills buckets to the brim.
func TestCountsDoNotOverflow(t *testing.T) {
	b := NewBudget(100, 1e6)
	state, now := fresh(), int64(100*second)
	for k := bucketAt(now) - retriesCount + 1; k <= bucketAt(now); k++ {
		setRequests(bucket(state, k), math.MaxUint32)
	}
	setNewest(state, bucketAt(now), 0)
	b.Request(state, now)
	if got, want := b.Remaining(state, now), int64(requestsCount*math.MaxUint32+1e7); got != want {
		t.Fatalf("%d remain, want %d", got, want)
	}
	b.Withdraw(state, now)
	if r := b.Reserve(state, now, 7); r.Granted != 7 || !b.Settle(state, now, r, math.MaxInt) {
		t.Errorf("granted %d", r.Granted)
	}
	if got, want := retriesIn(bucket(state, bucketAt(now))), int64(min(uint64(math.MaxInt)+1, math.MaxUint32)); got != want {
		t.Errorf("%d retries, want %d", got, want)
	}
}

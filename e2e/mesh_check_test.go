package e2e

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/check"
)

// spansOf are the times in which requests were admitted, by their clients' own clocks.
func spansOf(admitted []sample) []check.Span {
	spans := make([]check.Span, len(admitted))
	for i, s := range admitted {
		spans[i] = check.Span{From: s.sent, To: s.over}
	}
	return spans
}

// mostAbove returns the largest of n - rate x T over all intervals, n being the number of spans that lie wholly in one
// of T seconds: what a bucket that is refilled at that rate must have held at least.
//
// The intervals that count begin with a span and end with one. Ends are gone through in order; a tree over the begins b
// holds (spans from b on that are over) + rate x b, of which the highest is asked for, less rate x e.
func mostAbove(spans []check.Span, rate float64) float64 {
	if len(spans) == 0 {
		return 0
	}
	zero := spans[0].From
	begins := slices.SortedFunc(slices.Values(spans), func(a, b check.Span) int { return a.From.Compare(b.From) })
	place := make([]int, len(begins)) // of each end in begins
	for i := range place {
		place[i] = i
	}
	slices.SortFunc(place, func(a, b int) int { return begins[a].To.Compare(begins[b].To) })
	tree := newHighest(len(begins))
	for i, s := range begins {
		tree.add(i, i, rate*s.From.Sub(zero).Seconds())
	}
	most := math.Inf(-1)
	for _, i := range place {
		tree.add(0, i, 1)
		// Begins later than this end have only spans that are not over: none of them counts, and rate x b would.
		begun := sort.Search(len(begins), func(b int) bool { return begins[b].From.After(begins[i].To) })
		most = max(most, tree.most(0, begun-1)-rate*begins[i].To.Sub(zero).Seconds())
	}
	return most
}

// highest is a segment tree: it raises a range of numbers and returns the highest number.
type highest struct {
	size       int
	top, added []float64
}

func newHighest(n int) *highest {
	size := 1
	for size < n {
		size *= 2
	}
	return &highest{size: size, top: make([]float64, 2*size), added: make([]float64, 2*size)}
}

func (h *highest) add(from, to int, by float64) { h.raise(1, 0, h.size-1, from, to, by) }

func (h *highest) raise(node, low, high, from, to int, by float64) {
	switch {
	case to < low || high < from:
	case from <= low && high <= to:
		h.top[node] += by
		h.added[node] += by
	default:
		middle := (low + high) / 2
		h.raise(2*node, low, middle, from, to, by)
		h.raise(2*node+1, middle+1, high, from, to, by)
		h.top[node] = max(h.top[2*node], h.top[2*node+1]) + h.added[node]
	}
}

func (h *highest) most(from, to int) float64 { return h.ask(1, 0, h.size-1, from, to) }

func (h *highest) ask(node, low, high, from, to int) float64 {
	switch {
	case to < low || high < from:
		return math.Inf(-1)
	case from <= low && high <= to:
		return h.top[node]
	}
	middle := (low + high) / 2
	return max(h.ask(2*node, low, middle, from, to), h.ask(2*node+1, middle+1, high, from, to)) + h.added[node]
}

// used is the share of a limit that was used: the time that limit x k admissions should take, by the time they took. So
// it does not matter where a window of the limit begins. moments are in order; limit is what comes in a window.
func used(moments []time.Time, limit int, window time.Duration) float64 {
	windows := (len(moments) - 1) / limit
	if windows < 1 {
		return 0
	}
	return float64(windows) * window.Seconds() / moments[windows*limit].Sub(moments[0]).Seconds()
}

func TestMostAboveAgreesWithItsDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	zero := time.Now()
	for range 200 {
		spans := make([]check.Span, 1+random.IntN(40))
		for i := range spans {
			from := zero.Add(time.Duration(random.IntN(1000)) * time.Millisecond)
			spans[i] = check.Span{From: from, To: from.Add(time.Duration(random.IntN(100)) * time.Millisecond)}
		}
		rate := random.Float64() * 50
		want := math.Inf(-1)
		for _, first := range spans {
			for _, last := range spans {
				n := 0
				for _, s := range spans {
					if !s.From.Before(first.From) && !s.To.After(last.To) {
						n++
					}
				}
				if n > 0 {
					want = max(want, float64(n)-rate*last.To.Sub(first.From).Seconds())
				}
			}
		}
		if got := mostAbove(spans, rate); math.Abs(got-want) > 1e-6 {
			t.Fatalf("got %v, want %v, at %v a second of %v", got, want, rate, spans)
		}
	}
}

func TestUsed(t *testing.T) {
	zero := time.Now()
	var full, half []time.Time
	for i := range 50 { // bursts of 10 at each second
		full = append(full, zero.Add(time.Duration(i/10)*time.Second))
		half = append(half, zero.Add(time.Duration(i/10)*2*time.Second))
	}
	if f, h, none := used(full, 10, time.Second), used(half, 10, time.Second), used(full[:10], 10, time.Second); f != 1 || h != 0.5 || none != 0 {
		t.Errorf("got %v of the full limit, %v of half and %v of a log that is too short, want 1, 0.5 and 0", f, h, none)
	}
}

// Package bench measures what a filter costs: CPU time of Envoy for each request, and latency, with Weir and with its
// peers, in one run on one machine, so that the numbers may be compared. `make bench` runs it.
//
// Each row is an Envoy of its own with the same listener, route and cluster, in which only the filter differs. All are
// up the whole time; one at a time is under load, in turns (A B C, A B C, …), so that a machine that gets slower or
// busier does so for all of them. A row's number is the median over the rounds. Upstream is one more Envoy, which
// answers directly. After each turn the row is checked: every request was answered 200, and the measured filter saw all
// of them.
//
// BENCH_ROUNDS (5) and BENCH_SECONDS (5, for each turn) make a run longer. The load comes from wrk, which has to be
// installed.
package bench

import (
	"cmp"
	"slices"
	"time"
)

// turn is what one row did in one round.
type turn struct {
	requests  float64       // that Envoy completed
	cpu       time.Duration // that Envoy used meanwhile, on all threads
	took      time.Duration
	p50, p99  time.Duration // of latency, as wrk saw it
	memoryKiB int64         // resident, at the end
}

func (t turn) cpuMicros() float64 { return float64(t.cpu.Nanoseconds()) / 1000 / t.requests }

// Counted reads a counter until it is at least so much, for three seconds at most: Weir tells Envoy of many requests at
// once.
func Counted(atLeast float64, read func() float64) (n float64) {
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if n = read(); n >= atLeast || time.Now().After(deadline) {
			return n
		}
	}
}

// median of a value over turns; there is at least one.
func median[V cmp.Ordered](turns []turn, value func(turn) V) V {
	values := make([]V, len(turns))
	for i, t := range turns {
		values[i] = value(t)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

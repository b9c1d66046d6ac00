// Package benchmesh measures what a limit costs that all proxies share: side by side, in one run, on one Redis, Weir's
// leases and envoyproxy/ratelimit. `make bench-mesh` runs it.
//
//	h2load ──► Envoy ──► upstream (an Envoy that answers directly; not counted, nor is h2load)
//	             │
//	             ├─ Weir ────────► webdis, or `weir bridge` ──┐
//	             └─ ratelimit ───► envoyproxy/ratelimit ──────┴──► redis-server
//	          column Envoy              column service               column Redis
//
// As in package bench, each row is an Envoy of its own with a service of its own, all are up the whole time, one at a
// time is under load, in turns (A B C, A B C, …), and a row's number is the median over the rounds. Unlike there,
// requests come at a given rate: a shared limit is called by the second and not by the request, so its cost a request
// has a meaning only at a rate. After each turn the row is checked: all requests were answered as they should be, and
// those rows, and only those, that say so made Redis work.
//
// There are three tables: below the limit, above it, and with Redis gone. The budgets follow below them.
//
// BENCH_ROUNDS (5) and BENCH_SECONDS (5, for each turn) make a run longer. The load comes from h2load. RATELIMIT_BIN is
// the peer's binary, which make builds.
package benchmesh

import (
	"cmp"
	"net/http"
	"slices"
	"time"
)

// rates are requests a second.
var rates = []int{1000, 5000}

// turn is what one row did in one round at one rate.
type turn struct {
	requests              float64       // that were answered
	envoy, service, redis time.Duration // CPU time, on all threads
	load                  answers
	calls                 int64   // that Redis was sent
	commands              int64   // that Redis ran: the calls, and for a script also what it calls
	errors                float64 // of the calls, as Envoy saw them
}

func (t turn) sum() time.Duration { return t.envoy + t.service + t.redis }

// admitted is the share of the requests that were.
func (t turn) admitted() float64 {
	admitted := 0
	for _, one := range t.load {
		if one.status == http.StatusOK {
			admitted++
		}
	}
	return float64(admitted) / t.requests
}

// micros is CPU time a request.
func (t turn) micros(cpu time.Duration) float64 {
	return float64(cpu.Nanoseconds()) / 1000 / t.requests
}

// median of a value over turns; there is at least one.
func median[T any, V cmp.Ordered](turns []T, value func(T) V) V {
	values := make([]V, len(turns))
	for i, t := range turns {
		values[i] = value(t)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

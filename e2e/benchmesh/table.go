package benchmesh

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// result is a line of a table.
type result struct {
	row
	rate  int
	turns []turn
}

// micros is the median of a process's CPU time a request.
func (r result) micros(cpu func(turn) time.Duration) float64 {
	return median(r.turns, func(t turn) float64 { return t.micros(cpu(t)) })
}

func (r result) envoy() float64 {
	return r.micros(func(t turn) time.Duration { return t.envoy })
}

func (r result) sum() float64 { return r.micros(turn.sum) }

func (r result) calls() float64 {
	return median(r.turns, func(t turn) float64 { return float64(t.calls) / t.requests })
}

func (r result) latency(percent int) float64 {
	return milliseconds(median(r.turns, func(t turn) time.Duration { return t.load.percentile(percent) }))
}

// reached is how many requests a second were really sent.
func (r result) reached() float64 {
	return median(r.turns, func(t turn) float64 { return t.load.rate() })
}

// reachedEnough is the share of a rate below which the machine was too busy to measure at it.
const reachedEnough = 0.95

// writeTable prints a line for each result: CPU a request of each process and of all, latency, what Redis did, and how
// many of the calls failed in all rounds together.
func writeTable(w io.Writer, results []result) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "rate\tEnvoy us\tservice us\tRedis us\tsum us\tp50 ms\tp99 ms\tcalls/request\tcommands/request\tfailed calls\tadmitted\trequests/s\t  row")
	for _, r := range results {
		failed := 0.0
		for _, t := range r.turns {
			failed += t.errors
		}
		_, _ = fmt.Fprintf(table, "%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.4f\t%.4f\t%.0f\t%.1f %%\t%.0f\t  %s\n",
			r.rate, r.envoy(),
			r.micros(func(t turn) time.Duration { return t.service }),
			r.micros(func(t turn) time.Duration { return t.redis }),
			r.sum(), r.latency(50), r.latency(99), r.calls(),
			median(r.turns, func(t turn) float64 { return float64(t.commands) / t.requests }),
			failed,
			median(r.turns, func(t turn) float64 { return 100 * t.admitted() }),
			r.reached(),
			r.name)
	}
	return table.Flush()
}

// writeBudgets compares the table with the budgets of a mesh limit: in scope mesh at most 2 us of Envoy's CPU more than
// in scope proxy; at most 0.02 calls of Redis a request, at 5,000 requests a second; and what the limit adds to Envoy,
// service and Redis together at most a tenth of what envoyproxy/ratelimit adds.
func writeBudgets(w io.Writer, results []result) error {
	for _, rate := range rates {
		named := map[string]result{}
		for _, r := range results {
			if r.rate == rate {
				named[r.name] = r
			}
		}
		bare, local, mesh, peer := named[noFilter], named[scopeProxy], named[byBridge], named[exactPeer]
		added, peerAdded := mesh.sum()-bare.sum(), peer.sum()-bare.sum()
		_, err := fmt.Fprintf(w, `budgets at %d requests/s, %s:
  over scope proxy  %+.2f us in Envoy, %+.2f us in all    (budget: +2)    x %.2f of it
  Redis calls       %.4f a request                         (budget: 0.02)  x %.2f of it
  added in all      %.2f us, %s %.2f us: a share of %.3f   (budget: 0.1)   x %.2f of it
`,
			rate, byBridge,
			mesh.envoy()-local.envoy(), mesh.sum()-local.sum(), (mesh.envoy()-local.envoy())/2,
			mesh.calls(), mesh.calls()/0.02,
			added, exactPeer, peerAdded, added/peerAdded, added/peerAdded/0.1)
		if err != nil {
			return err
		}
		for _, r := range []result{bare, peer, local, mesh} {
			if reached := r.reached(); reached < reachedEnough*float64(rate) {
				_, err = fmt.Fprintf(w, "  NOT MEASURED AT THIS RATE: %s got %.0f requests/s; the lines above say nothing about the budgets\n", r.name, reached)
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// outage is one round of a row that loses its Redis: the same load before, and after.
type outage struct {
	healthy, down turn
	// settled are the answers since settleAfter.
	settled answers
}

// writeOutages prints a line for each row. p99 without Redis is of what was sent after the first timeout; the budget is
// 1 ms more than with it.
func writeOutages(w io.Writer, rows []row, outages map[string][]outage) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "Envoy us with Redis\twithout\tp50 ms with Redis\twithout\tp99 ms with Redis\twithout\tover (budget 1)\tslowest without\tfailed calls\t  row")
	for _, r := range rows {
		rounds := outages[r.name]
		micros := func(of func(outage) turn) float64 {
			return median(rounds, func(o outage) float64 { return of(o).micros(of(o).envoy) })
		}
		latency := func(of func(outage) answers, percent int) float64 {
			return milliseconds(median(rounds, func(o outage) time.Duration { return of(o).percentile(percent) }))
		}
		healthy := func(o outage) answers { return o.healthy.load }
		settled := func(o outage) answers { return o.settled }
		_, _ = fmt.Fprintf(table, "%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%+.2f\t%.2f\t%.0f\t  %s\n",
			micros(func(o outage) turn { return o.healthy }), micros(func(o outage) turn { return o.down }),
			latency(healthy, 50), latency(settled, 50), latency(healthy, 99), latency(settled, 99),
			latency(settled, 99)-latency(healthy, 99), latency(settled, 100),
			median(rounds, func(o outage) float64 { return o.down.errors }), r.name)
	}
	return table.Flush()
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

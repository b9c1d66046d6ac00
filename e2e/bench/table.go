package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// result is a line of the table.
type result struct {
	name  string
	turns []turn
}

func (r result) cpuMicros() float64 { return median(r.turns, turn.cpuMicros) }

// writeTable prints a line for each result: CPU a request, what that is more than with no filter, how it compares with
// the empty Go filter (as a difference and a ratio), the range over the rounds, latency, throughput and memory.
func writeTable(w io.Writer, results []result) error {
	base := map[string]float64{}
	for _, r := range results {
		base[r.name] = r.cpuMicros()
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "CPU us/request\tlowest\thighest\tover no filter\tover empty\tx empty\tp50 ms\tp99 ms\trequests/s\tMiB\t  row")
	for _, r := range results {
		cpu := r.cpuMicros()
		lowest, highest := cpu, cpu
		for _, t := range r.turns {
			lowest, highest = min(lowest, t.cpuMicros()), max(highest, t.cpuMicros())
		}
		_, _ = fmt.Fprintf(table, "%.2f\t%.2f\t%.2f\t%+.2f\t%+.2f\t%.3f\t%.2f\t%.2f\t%.0f\t%.0f\t  %s\n",
			cpu, lowest, highest, cpu-base[noFilter], cpu-base[emptyFilter], cpu/base[emptyFilter],
			milliseconds(median(r.turns, func(t turn) time.Duration { return t.p50 })),
			milliseconds(median(r.turns, func(t turn) time.Duration { return t.p99 })),
			median(r.turns, func(t turn) float64 { return t.requests / t.took.Seconds() }),
			float64(median(r.turns, func(t turn) int64 { return t.memoryKiB }))/1024,
			r.name)
	}
	return table.Flush()
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

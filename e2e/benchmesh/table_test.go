package benchmesh

import (
	"strings"
	"testing"
	"time"
)

// turns are rounds in which 1,000 requests took so many us of CPU each, and Redis was called 10 times.
func turns(envoy, service, redis time.Duration) []turn {
	load := make(answers, 1000)
	for i := range load {
		load[i] = answer{start: int64(i) * 1000, status: 200, latency: time.Duration(i+1) * time.Microsecond}
	}
	return []turn{{requests: 1000, envoy: envoy * time.Millisecond, service: service * time.Millisecond, redis: redis * time.Millisecond, load: load, calls: 10, commands: 40}}
}

func TestTable(t *testing.T) {
	results := []result{
		{row: row{name: noFilter}, rate: 1000, turns: turns(30, 0, 0)},
		{row: row{name: exactPeer}, rate: 1000, turns: turns(80, 90, 10)},
		{row: row{name: scopeProxy}, rate: 1000, turns: turns(35, 0, 0)},
		{row: row{name: byBridge}, rate: 1000, turns: turns(36, 3, 1)},
	}
	for _, r := range results {
		results = append(results, result{row: r.row, rate: 5000, turns: r.turns})
	}
	var text strings.Builder
	if err := writeTable(&text, results); err != nil {
		t.Fatal(err)
	}
	if err := writeBudgets(&text, results); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(text.String()), " ")
	for _, want := range []string{
		"1000 36.00 3.00 1.00 40.00 0.50 0.99 0.0100 0.0400 0 100.0 % 1000 Weir, scope mesh, weir bridge",
		"NOT MEASURED AT THIS RATE: envoyproxy/ratelimit got 1000 requests/s",
		"budgets at 5000 requests/s",
		"over scope proxy +1.00 us in Envoy, +5.00 us in all (budget: +2) x 0.50 of it",
		"Redis calls 0.0100 a request (budget: 0.02) x 0.50 of it",
		"added in all 10.00 us, envoyproxy/ratelimit 150.00 us: a share of 0.067 (budget: 0.1) x 0.67 of it",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}

func TestOutages(t *testing.T) {
	healthy, down := turns(30, 0, 0)[0], turns(40, 0, 0)[0]
	down.load[0].latency = 50 * time.Millisecond
	down.errors = 3
	rows := []row{{name: "Weir"}}
	var text strings.Builder
	o := outage{healthy: healthy, down: down, settled: down.load.since(200 * time.Millisecond)}
	if err := writeOutages(&text, rows, map[string][]outage{"Weir": {o}}); err != nil {
		t.Fatal(err)
	}
	// 201 us to 1 ms, and not the 50 ms of the first.
	if got, want := strings.Join(strings.Fields(text.String()), " "), "30.00 40.00 0.50 0.60 0.99 0.99 +0.00 1.00 3 Weir"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want it to end with %q", got, want)
	}
}

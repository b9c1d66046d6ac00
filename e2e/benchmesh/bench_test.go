package benchmesh

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/bench"
	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest"
)

// warmUpSeconds of load go before the first round, unmeasured: V8 compiles a module's hot functions a second time.
const warmUpSeconds = 3

// settleAfter is when the first calls to a dead Redis have timed out (redis.timeout is 50 ms, three in a row), with
// room.
const settleAfter = time.Second

// backDeadline is how long Weir may take to call a Redis again that is back.
const backDeadline = time.Minute

// run is what all benchmarks need.
type run struct{ rounds, seconds int }

func begin(b *testing.B) run {
	b.Helper()
	for program, debian := range map[string]string{"h2load": "nghttp2-client", "redis-server": "redis-server", "webdis": "webdis"} {
		if _, err := exec.LookPath(program); err != nil {
			b.Fatalf("%s is not installed; on Debian and Ubuntu: apt-get install %s", program, debian)
		}
	}
	engine.Announce(os.Stdout)
	return run{rounds: bench.Setting(b, "BENCH_ROUNDS", 5), seconds: bench.Setting(b, "BENCH_SECONDS", 5)}
}

// measured runs a measurement and then reports the machine, and how busy others kept it.
func (r run) measured(b *testing.B, title string, do func()) {
	b.Helper()
	all, stolen, err := bench.MachineTime()
	if err != nil {
		b.Fatal(err)
	}
	do()
	allAfter, stolenAfter, err := bench.MachineTime()
	if err != nil {
		b.Fatal(err)
	}
	fmt.Printf("\n%s\n%s, %d CPUs, %s/%s; h2load with %d connections; 2 workers; median of %d rounds of %d s\n", title,
		bench.CPUModel(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, connections, r.rounds, r.seconds)
	// Above some percent, something else is running here or beside this machine: measure again.
	fmt.Printf("stolen by the hypervisor meanwhile: %.1f %% of the CPU time\n\n", 100*float64(stolenAfter-stolen)/float64(allAfter-all))
}

// compare measures rows at rates.
func compare(b *testing.B, title string, rows []row, rates []int) []result {
	b.Helper()
	r := begin(b)
	upstream, server := bench.StartUpstream(b), redistest.NewServer(b)
	var all []*under
	for i, row := range rows {
		all = append(all, start(b, i, row, upstream, server))
	}
	for _, u := range all {
		u.turn(b, rates[len(rates)-1], warmUpSeconds)
	}
	r.measured(b, title, func() {
		for round := range r.rounds {
			for _, rate := range rates {
				for _, u := range all {
					this := u.turn(b, rate, r.seconds)
					u.turns[rate] = append(u.turns[rate], this)
					fmt.Printf("round %d/%d  %5d/s  %-40s %7.2f us\n", round+1, r.rounds, rate, u.name, this.micros(this.sum()))
				}
			}
		}
	})
	var results []result
	for _, rate := range rates {
		for _, u := range all {
			results = append(results, result{row: u.row, rate: rate, turns: u.turns[rate]})
		}
	}
	if err := writeTable(os.Stdout, results); err != nil {
		b.Fatal(err)
	}
	return results
}

// BenchmarkBelow is what a shared limit costs those that it lets through.
func BenchmarkBelow(b *testing.B) {
	results := compare(b, "below the limit", below(), rates)
	if err := writeBudgets(os.Stdout, results); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAbove is what it costs when it refuses nearly all.
func BenchmarkAbove(b *testing.B) {
	compare(b, fmt.Sprintf("above the limit of %d a second", few), above(), rates[len(rates)-1:])
}

// BenchmarkRedisDown is what a request waits for when Redis was killed. Each row has a Redis of its own.
func BenchmarkRedisDown(b *testing.B) {
	r := begin(b)
	r.seconds = max(r.seconds, 2*int(settleAfter/time.Second))
	upstream := bench.StartUpstream(b)
	var all []*under
	for i, row := range withoutRedis() {
		all = append(all, start(b, i, row, upstream, redistest.NewServer(b)))
	}
	for _, u := range all {
		u.turn(b, rates[0], warmUpSeconds)
	}
	outages := map[string][]outage{}
	r.measured(b, fmt.Sprintf("Redis killed, at %d requests/s", rates[0]), func() {
		for range r.rounds {
			for _, u := range all {
				u.bringBack(b)
				healthy := u.turn(b, rates[0], r.seconds)
				u.server.Kill()
				u.gone = true
				down := u.turnAnyway(b, rates[0], r.seconds)
				if down.errors == 0 {
					b.Fatalf("%s: got no failed call, want some while Redis is gone", u.name)
				}
				outages[u.name] = append(outages[u.name], outage{healthy: healthy, down: down, settled: down.load.since(settleAfter)})
			}
		}
	})
	if err := writeOutages(os.Stdout, withoutRedis(), outages); err != nil {
		b.Fatal(err)
	}
}

// bringBack restarts a killed Redis and returns once the filter calls it again.
func (u *under) bringBack(b *testing.B) {
	b.Helper()
	if !u.gone {
		return
	}
	u.server.Restart(b)
	u.gone = false
	for deadline := time.Now().Add(backDeadline); ; {
		u.turnAnyway(b, rates[0], 1)
		var seen turn
		if u.count(b, &seen); seen.calls > 0 {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s: got no call to Redis %v after its restart", u.name, backDeadline)
		}
	}
}

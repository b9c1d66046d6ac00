package bench

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/process"
)

// warmUpSeconds of load go before the first round, unmeasured: V8 compiles a module's hot functions a second time.
const warmUpSeconds = 5

// under is a row with its Envoy and what it did.
type under struct {
	row
	envoy *engine.Envoy
	pid   int
	turns []turn
}

// BenchmarkRequest is what a request costs that upstream answers.
func BenchmarkRequest(b *testing.B) { measure(b, rows()) }

// BenchmarkCached is what keeping answers costs, and what an answer from the cache costs against one from upstream.
func BenchmarkCached(b *testing.B) { measure(b, cachedRows()) }

// BenchmarkPublishing is what metrics and the status for the admin interface cost a request, by the filter's own clock:
// some hundred nanoseconds can't be seen in CPU times that differ by microseconds from round to round.
func BenchmarkPublishing(b *testing.B) {
	rounds, seconds := Setting(b, "BENCH_ROUNDS", 5), Setting(b, "BENCH_SECONDS", 5)
	engine.Announce(os.Stdout)
	upstream := StartUpstream(b)
	var lines []publishingLine
	for _, n := range publishingClusters {
		e := startPublishing(b, upstream, n)
		load(b, e.URL(), warmUpSeconds)
		before := readTimed(e)
		took, _, _ := load(b, e.URL(), rounds*seconds)
		line := publishingLine{clusters: n, took: took, timed: readTimed(e).since(before)}
		if line.requests == 0 || line.times == 0 {
			b.Fatalf("%d clusters: got no measurement: %+v", n, line)
		}
		lines = append(lines, line)
		e.Stop()
	}
	fmt.Printf("\n%s, %d CPUs, %s/%s; wrk with %d connections; 2 workers; %d s for each line\n\n",
		CPUModel(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, connections, rounds*seconds)
	if err := writePublishing(os.Stdout, lines); err != nil {
		b.Fatal(err)
	}
}

func measure(b *testing.B, rows []row) {
	b.Helper()
	if _, err := exec.LookPath("wrk"); err != nil {
		b.Fatal("wrk is not installed, which makes the load; on Debian and Ubuntu: apt-get install wrk")
	}
	rounds, seconds := Setting(b, "BENCH_ROUNDS", 5), Setting(b, "BENCH_SECONDS", 5)
	engine.Announce(os.Stdout)
	upstream := StartUpstream(b)
	var all []*under
	for _, r := range rows {
		envoy := start(b, r, upstream)
		if r.before != nil {
			r.before(b, envoy.URL())
		}
		all = append(all, &under{row: r, envoy: envoy, pid: envoy.PID()})
	}
	for _, u := range all {
		u.turn(b, warmUpSeconds)
		u.turns = nil
	}
	allBefore, stolenBefore, err := MachineTime()
	if err != nil {
		b.Fatal(err)
	}
	for round := range rounds {
		for _, u := range all {
			u.turn(b, seconds)
			last := u.turns[len(u.turns)-1]
			fmt.Printf("round %d/%d  %-36s %6.2f us\n", round+1, rounds, u.name, last.cpuMicros())
		}
	}
	allAfter, stolenAfter, err := MachineTime()
	if err != nil {
		b.Fatal(err)
	}
	fmt.Printf("\n%s, %d CPUs, %s/%s; wrk with %d connections; 2 workers; median of %d rounds of %d s\n",
		CPUModel(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, connections, rounds, seconds)
	// Above some percent, something else is running here or beside this machine: measure again.
	fmt.Printf("stolen by the hypervisor meanwhile: %.1f %% of the CPU time\n\n", 100*float64(stolenAfter-stolenBefore)/float64(allAfter-allBefore))
	results := make([]result, len(all))
	for i, u := range all {
		results[i] = result{name: u.name, turns: u.turns}
	}
	if err := writeTable(os.Stdout, results); err != nil {
		b.Fatal(err)
	}
}

// turn puts the row under load, measures it, checks that it was what we think it was, and adds it to turns.
func (u *under) turn(t testing.TB, seconds int) {
	t.Helper()
	url := u.envoy.URL() + u.path
	u.checkOne(t, url)
	sawBefore := u.count()
	completedBefore, okBefore := u.answered()
	cpuBefore := u.cpu(t)

	var this turn
	this.took, this.p50, this.p99 = load(t, url, seconds)

	this.cpu = u.cpu(t) - cpuBefore
	completed, ok := u.answered()
	this.requests = completed - completedBefore
	// wrk hangs up in the middle of its last requests, at most one for each connection.
	if ok -= okBefore; ok < this.requests-connections || ok == 0 {
		t.Fatalf("%s: got of %v requests %v answered with 2xx, want all", u.name, this.requests, ok)
	}
	if u.saw != nil {
		if saw := Counted(sawBefore+ok, u.count) - sawBefore; saw < ok {
			t.Fatalf("%s: got of %v requests %v seen by the filter, want all", u.name, ok, saw)
		}
	}
	var err error
	if this.memoryKiB, err = memoryKiB(u.pid); err != nil {
		t.Fatal(err)
	}
	u.turns = append(u.turns, this)
}

// checkOne sends one request and looks at the answer.
func (u *under) checkOne(t testing.TB, url string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: got %s, want 200", u.name, answer.Status)
	}
	if u.verify != nil {
		u.verify(t, u.envoy, answer)
	}
}

func (u *under) count() float64 {
	if u.saw == nil {
		return 0
	}
	return u.saw(u.envoy)
}

// answered is how many requests Envoy completed so far, and how many of them with 2xx.
func (u *under) answered() (completed, ok float64) {
	stats := u.envoy.Stats()
	return stats["http.weir.downstream_rq_completed"], stats["http.weir.downstream_rq_2xx"]
}

func (u *under) cpu(t testing.TB) time.Duration {
	t.Helper()
	used, err := process.CPUTime(u.pid)
	if err != nil {
		t.Fatal(err)
	}
	return used
}

// start starts a row's Envoy: what the renderer makes for users, with another filter in the place of Weir.
func start(t testing.TB, r row, upstream render.Upstream) *engine.Envoy {
	t.Helper()
	policy := r.policy
	if policy == "" {
		policy = `{"clusters": {}}`
	}
	bootstrap, err := render.Bootstrap(render.Options{Policy: []byte(policy), Upstreams: []render.Upstream{upstream}, Wasm: repo.ModuleFile("weir")})
	if err != nil {
		t.Fatal(err)
	}
	ChangeManager(t, bootstrap, func(manager *hcmv3.HttpConnectionManager) {
		weir := manager.GetHttpFilters()[1] // behind the filter that resolves the route
		switch filter := r.filter(t, weir); filter {
		case weir:
		case nil:
			SetFilters(manager)
		default:
			SetFilters(manager, filter)
		}
	})
	return engine.Start(t, engine.Config{Bootstrap: bootstrap, LogLevel: "warning"})
}

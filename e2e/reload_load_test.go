package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/check"
	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// reloads is an Envoy under load whose policy and listeners are replaced several times. It notes when: a request that
// ended before a replacement began must not see it, a request that began after the replacement was known to be in force
// must.
type reloads struct {
	*watched
	options      render.Options
	begun, known map[int]time.Time
}

// TestReloadUnderLoad: a thousand requests a second, and policies that come by ECDS and by LDS, good ones and bad ones.
// No request fails. Counters keep their values, a breaker keeps its state, and a changed limit holds from then on.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	ups := map[string]*upstream.Upstream{}
	for _, name := range []string{"plain", "open", "bucket", "window", "goes"} {
		ups[name] = upstream.New(t)
	}
	ups["open"].Set(upstream.Status(500))
	policy := func(version, burst, limit int, more string) string {
		return fmt.Sprintf(`
clusters:
  plain: {circuit_breaker: {}, retry: {driver: envoy, base_delay: %dms}}
  open: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, fallback: {enable_cache_fallback: false, default_data: {body: "%d"}}}
  bucket: {rate_limit: {algorithm: token_bucket, burst_capacity: %d, refill_rate: 0.001}}
  window: {rate_limit: {algorithm: sliding_window, requests: %d, window_size: 1s}}
  %s`, 10*version, version, burst, limit, more)
	}
	goes := "goes: {bulkhead: {}, circuit_breaker: {failure_threshold: 1}}"
	r := startReloads(t, policy(1, 500, 100, goes), ups)
	c := r.console()
	r.get("open", "/")
	ups["goes"].Set(upstream.Status(500))
	r.get("goes", "/")
	c.waitStatus("goes", map[string]any{"circuit_breaker.state": "open"})
	c.waitStatus("open", map[string]any{"circuit_breaker.state": "open", "circuit_breaker.opens_total": 1.0})
	opened, err := time.Parse(time.RFC3339Nano, fmt.Sprint(c.status().at("clusters.open.circuit_breaker.opened_at")))
	if err != nil {
		t.Fatal(err)
	}

	start := time.Now()
	end := r.underLoad(
		stream{cluster: "plain", rate: 200, body: strings.Repeat("x", 1000)},
		stream{cluster: "plain", rate: 200, body: strings.Repeat("x", 1000), newConnections: true},
		stream{cluster: "open", rate: 250},
		stream{cluster: "bucket", rate: 100},
		stream{cluster: "window", rate: 250})
	r.pass(1200 * time.Millisecond)
	r.policy(2, policy(2, 300, 50, goes))
	r.policy(3, policy(3, 300, 50, goes))
	r.replace(badPolicy, "config_fail")
	r.pass(1200 * time.Millisecond)
	// Not before the policy is mended: Envoy makes a new listener's filters of what the watched file holds, good or
	// bad.
	r.policy(4, policy(4, 300, 50, goes))
	r.layout(policy(4, 300, 50, goes)) // the time that the router waits before it tries again stands in the route
	r.badLayout()
	r.policy(5, policy(5, 300, 150, ""))
	r.pass(2200 * time.Millisecond)
	did := end()
	r.allAnswered(did, start)
	r.versions(did["open"])
	if n := ups["open"].Count(); n != 1 {
		t.Errorf("%d requests reached an upstream behind an open breaker, want the first alone", n)
	}
	c.waitStatus("open", map[string]any{
		"circuit_breaker.state": "open", "circuit_breaker.opens_total": 1.0, "circuit_breaker.opened_at": during(opened, opened),
	})

	// At most 300 of the bucket's 500 tokens were used when its capacity became 300, and those stay used.
	if n := ups["bucket"].Count(); n != 300 {
		t.Errorf("a bucket of 500 and then of 300 admitted %d, want 300", n)
	}
	for _, w := range []struct {
		what     string
		from, to time.Time
		most     int
	}{
		{"before it changed", start, r.begun[2], 100},
		{"until it was raised", start, r.begun[5], 100},
		{"while it was lowered", r.known[2], r.begun[5], 50},
		{"at any time", start, time.Now(), 150},
	} {
		if most := admitted(did["window"], ups["window"], w.from, w.to); most > w.most {
			t.Errorf("a limit of 100, 50 and 150 in a second: %s %d within one, want at most %d", w.what, most, w.most)
		}
	}
	// The load sends 250 a second; more than a second of it had a limit of 150.
	if most := admitted(did["window"], ups["window"], r.known[5], time.Now()); most < 100 {
		t.Errorf("raised to 150 a second: got at most %d in a second, want 100 or more", most)
	}

	eventually(t, func() error {
		if gone := c.status().at("clusters.goes"); gone != "absent" {
			return fmt.Errorf("a removed cluster is still shown: got %v, want absent", gone)
		}
		return nil
	})
	t.Logf("the cluster that was taken out was shown for %v at most", time.Since(r.known[5]).Round(time.Millisecond))
	r.WaitMetric(`weir_breaker_state{cluster="goes"}`, engine.Exactly(0))
	r.WaitMetric("weir_faults_total", engine.Exactly(0))
}

func startReloads(t *testing.T, policy string, ups map[string]*upstream.Upstream) *reloads {
	t.Helper()
	r := &reloads{begun: map[int]time.Time{}, known: map[int]time.Time{}}
	r.watched = startWatched(t, policy, ups, withAdmin, func(o *render.Options) {
		o.LDS = filepath.Join(filepath.Dir(o.ECDS), "listeners.yaml")
		o.Listen, o.Admin = address(t), address(t) // the kernel chooses none for a listener that comes later
		r.options = *o
		if err := os.WriteFile(o.LDS, listenersOf(t, *o), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	return r
}

func address(t *testing.T) string { return fmt.Sprintf("127.0.0.1:%d", engine.FreePort(t)) }

func listenersOf(t *testing.T, o render.Options) []byte {
	t.Helper()
	response, err := render.LDS(o)
	return asFile(t, response, err)
}

// pass lets the load go on for a time.
func (r *reloads) pass(d time.Duration) { time.Sleep(d) }

// policy replaces the filter's policy by the watched file, and waits until both workers have it: each answers some of
// 20 new connections in a row, but for one time in a million.
func (r *reloads) policy(version int, policy string) {
	r.t.Helper()
	r.begun[version] = time.Now()
	r.replace(policy, "config_reload")
	eventually(r.t, func() error {
		for range 20 {
			if a := r.get("open", "/"); a.body != strconv.Itoa(version) {
				return fmt.Errorf("policy %d is not in force in both workers yet: %+v", version, a)
			}
		}
		return nil
	})
	r.known[version] = time.Now()
}

// layout replaces the listeners and their routes by the watched file.
func (r *reloads) layout(policy string) {
	r.t.Helper()
	o := r.options
	o.Policy, o.Document = options(r.t, policy, r.upstreams).Policy, nil
	before := r.Stats()["listener_manager.lds.update_success"]
	r.ReplaceFile(o.LDS, listenersOf(r.t, o))
	r.WaitStat("listener_manager.lds.update_success", engine.AtLeast(before+1))
}

// badLayout adds a listener that Envoy refuses.
func (r *reloads) badLayout() {
	r.t.Helper()
	before := r.Stats()["listener_manager.lds.update_rejected"]
	content, err := os.ReadFile(r.options.LDS)
	if err != nil {
		r.t.Fatal(err)
	}
	r.ReplaceFile(r.options.LDS, append(content, `
- {"@type": type.googleapis.com/envoy.config.listener.v3.Listener, name: broken, address: {socket_address: {address: 127.0.0.1, port_value: 1}}}
`...))
	r.WaitStat("listener_manager.lds.update_rejected", engine.AtLeast(before+1))
}

// stream is requests at an even pace over eight connections.
type stream struct {
	cluster, body  string
	rate           float64 // a second
	newConnections bool    // each request has a connection of its own
}

// underLoad begins the load. end ends it and returns the answers by cluster.
func (r *reloads) underLoad(streams ...stream) (end func() map[string]load.Answers) {
	stop := make(chan struct{})
	answers := make([]load.Answers, len(streams))
	var running sync.WaitGroup
	for i, s := range streams {
		plan := load.Plan{
			URL: r.url + "/", Host: s.cluster, Connections: 8, NewConnections: s.newConnections, Rate: s.rate, Stop: stop,
			Body: s.body, Number: fmt.Sprintf("%d-", i),
		}
		if s.body != "" {
			plan.Method = http.MethodPost
		}
		running.Go(func() { answers[i] = load.Run(r.t, plan) })
	}
	return func() map[string]load.Answers {
		close(stop)
		running.Wait()
		all := map[string]load.Answers{}
		for i, s := range streams {
			all[s.cluster] = append(all[s.cluster], answers[i]...)
		}
		return all
	}
}

// allAnswered wants each request answered as the policies say, and upstream to have seen those that were answered by
// it.
func (r *reloads) allAnswered(did map[string]load.Answers, start time.Time) {
	r.t.Helper()
	requests := 0
	for cluster, answers := range did {
		requests += len(answers)
		statuses := map[int]int{}
		for _, a := range answers {
			statuses[a.Status]++
			refused := a.Status == 429 && (cluster == "bucket" || cluster == "window")
			if a.Err != nil || a.Status != 200 && !refused {
				r.t.Errorf("%s: got %+v, want status 200, or 429 from a limit", cluster, a)
				break
			}
		}
		if n := r.upstreams[cluster].Count(); cluster != "open" && n != statuses[200] {
			r.t.Errorf("%s: got statuses %v, want as many 200 as the upstream saw, %d", cluster, statuses, n)
		}
	}
	r.t.Logf("%d requests in %v", requests, time.Since(start).Round(time.Millisecond))
}

// versions wants each answer to be that of a policy which may have been in force: none that came after it was over,
// none that was known to be replaced when it began.
func (r *reloads) versions(answers load.Answers) {
	r.t.Helper()
	seen := map[string]int{}
	for _, a := range answers {
		seen[a.Body]++
		oldest, newest := 1, 1
		for version := range r.begun {
			if a.Start.After(r.known[version]) {
				oldest = max(oldest, version)
			}
			if a.End.After(r.begun[version]) {
				newest = max(newest, version)
			}
		}
		if version, err := strconv.Atoi(a.Body); err != nil || version < oldest || version > newest {
			r.t.Errorf("policies %d to %d were in force, got a response of %s", oldest, newest, a.Body)
		}
	}
	if len(seen) != len(r.begun)+1 {
		r.t.Errorf("answers by policy: %v, want some of each of %d", seen, len(r.begun)+1)
	}
}

// admitted is the largest number of requests that were certainly admitted within one second, of those that were sent
// and came within a time.
func admitted(answers load.Answers, u *upstream.Upstream, from, to time.Time) int {
	began := answers.StartByNumber()
	var spans []check.Span
	for _, request := range u.Requests() {
		if s := (check.Span{From: began[request.Header.Get(load.NumberHeader)], To: request.Arrived}); s.From.After(from) && s.To.Before(to) {
			spans = append(spans, s)
		}
	}
	return check.MostWithin(spans, time.Second)
}

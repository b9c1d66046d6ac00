package e2e

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/redis"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest"
)

// meshToken is every policy's. Webdis does not look at it, but the names of keys in Redis are made of it.
const meshToken = "e2e-token"

// mesh is one Redis, behind a bridge of each kind.
//
//	proxies[0], [2] … ──► bridges[0], webdis ──────┐
//	proxies[1], [3] … ──► bridges[1], weir bridge ─┴─► server
type mesh struct {
	t       *testing.T
	server  *redistest.Server // nil where none is installed: Redis is then inside the only bridge
	bridges []*redis.Bridge
	proxies []*weir
}

func newMesh(t *testing.T) *mesh {
	t.Helper()
	m := &mesh{t: t}
	for _, kind := range redis.Kinds(t) {
		if m.bridges == nil {
			server, bridge := redis.Start(t, kind)
			m.server, m.bridges = server, append(m.bridges, bridge)
		} else {
			m.bridges = append(m.bridges, redis.NewBridge(t, kind, m.server))
		}
	}
	return m
}

// join starts an Envoy that shares its limits through the next bridge. more is written into the policy's `redis`.
func (m *mesh) join(clusters, more string, upstreams map[string]*upstream.Upstream) *weir {
	m.t.Helper()
	w := joinMesh(m.t, m.bridges[len(m.proxies)%len(m.bridges)], clusters, more, upstreams)
	m.proxies = append(m.proxies, w)
	return w
}

// joinMesh starts an Envoy that shares its limits through a bridge. more is written into the policy's `redis`.
func joinMesh(t *testing.T, b *redis.Bridge, clusters, more string, upstreams map[string]*upstream.Upstream) *weir {
	t.Helper()
	return joinThrough(t, b.Dialect(), b.Port, clusters, more, upstreams)
}

func joinThrough(t *testing.T, dialect string, port int, clusters, more string, upstreams map[string]*upstream.Upstream) *weir {
	t.Helper()
	section := fmt.Sprintf("\nredis: {dialect: %s, token: %q, %s}\n", dialect, meshToken, more)
	o := options(t, clusters+section, upstreams)
	o.Redis = &render.Upstream{Name: "redis_http", Host: "127.0.0.1", Port: uint32(port)}
	return startWith(t, o)
}

// sample is one request and what became of it.
type sample struct {
	proxy      int
	sent, over time.Time
	status     int
	header     http.Header
	err        error
	numbered   string // its number, which the upstream sees too
}

func (s sample) took() time.Duration { return s.over.Sub(s.sent) }

// traffic is load on some proxies at once. A connection whose request fails ends, and the others take over its share.
type traffic struct {
	proxies     []*weir
	cluster     string
	connections int     // to each proxy; default 8
	rate        float64 // begun a second, over all
	last        time.Duration
	name        string        // begins each request's number; default the cluster
	patience    time.Duration // after which a client gives up; default 30 s
	header      func(n int64) http.Header
}

// run returns the requests in the order in which they were sent.
func (p traffic) run() []sample {
	t := p.proxies[0].t
	t.Helper()
	plan := load.Plan{
		Host: p.cluster, Connections: len(p.proxies) * cmp.Or(p.connections, 8), Rate: p.rate, Duration: p.last,
		Timeout: p.patience, EndOnError: true, HeaderOf: p.header, Number: cmp.Or(p.name, p.cluster) + "-",
	}
	for _, w := range p.proxies {
		plan.URLs = append(plan.URLs, w.url+"/")
	}
	answers := load.Run(t, plan)
	all := make([]sample, len(answers))
	for i, a := range answers {
		all[i] = sample{proxy: a.Server, sent: a.Start, over: a.End, status: a.Status, header: a.Header, err: a.Err, numbered: a.Number}
	}
	slices.SortFunc(all, func(a, b sample) int { return a.sent.Compare(b.sent) })
	return all
}

// statuses counts the samples by status; 0 are those that failed.
func statuses(all []sample) map[int]int {
	counts := map[int]int{}
	for _, s := range all {
		counts[s.status]++
	}
	return counts
}

// with are the samples of a status.
func with(all []sample, status int) []sample {
	return slices.DeleteFunc(slices.Clone(all), func(s sample) bool { return s.status != status })
}

// between are the samples that were sent in [from, to).
func between(all []sample, from, to time.Time) []sample {
	return slices.DeleteFunc(slices.Clone(all), func(s sample) bool { return s.sent.Before(from) || !s.sent.Before(to) })
}

// quantile is the time that a share of the samples took at most.
func quantile(all []sample, share float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	took := make([]time.Duration, len(all))
	for i, s := range all {
		took[i] = s.took()
	}
	slices.Sort(took)
	return took[int(share*float64(len(took)-1))]
}

// answered fails the test when a request failed, or got a status other than 200 and 429.
func answered(t *testing.T, all []sample) {
	t.Helper()
	for _, s := range all {
		if s.err != nil {
			t.Fatalf("a request to proxy %d failed: %v", s.proxy, s.err)
		}
		if s.status != 200 && s.status != 429 {
			t.Fatalf("proxy %d: got %d %v, want status 200 or 429", s.proxy, s.status, s.header)
		}
	}
}

// sum is a metric of a proxy, over the labels that begin so.
func (w *weir) sum(prefix string) (sum float64) {
	w.t.Helper()
	for name, value := range w.Prometheus() {
		if strings.HasPrefix(name, prefix) {
			sum += value
		}
	}
	return sum
}

// redisCalls are a proxy's weir_redis_calls_total by result.
func (w *weir) redisCalls() map[string]float64 {
	w.t.Helper()
	calls := map[string]float64{}
	for name, value := range w.Prometheus() {
		if rest, found := strings.CutPrefix(name, `weir_redis_calls_total{result="`); found {
			calls[strings.TrimSuffix(rest, `"}`)] = value
		}
	}
	return calls
}

// faultless checks that no proxy that runs had a fault of its own.
func (m *mesh) faultless(t *testing.T) {
	t.Helper()
	for i, w := range m.proxies {
		if !w.Running() {
			continue
		}
		if n := w.sum("weir_faults_total"); n != 0 {
			t.Errorf("proxy %d: got weir_faults_total %v, want 0", i, n)
		}
		t.Logf("proxy %d: calls %v, leases granted %v refused %v settled %v lost %v late %v", i, w.redisCalls(),
			w.sum(`weir_leases_total{result="granted`), w.sum(`weir_leases_total{result="refused`), w.sum(`weir_leases_total{result="settled`),
			w.sum(`weir_leases_total{result="lost`), w.sum(`weir_leases_total{result="late`))
	}
}

// after waits for a moment of a test's own timetable.
func after(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// slowest names the requests that took longest, by the time since the test's begin.
func slowest(t *testing.T, all []sample, begun time.Time) {
	t.Helper()
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b sample) int { return int(b.took() - a.took()) })
	for _, s := range sorted[:min(len(sorted), 2)] {
		t.Logf("slow: %s to proxy %d at %v took %v: %d %v", s.numbered, s.proxy, s.sent.Sub(begun).Round(time.Millisecond), s.took().Round(time.Millisecond), s.status, s.err)
	}
	t.Logf("%d asked, p50 %v p99 %v", len(all), quantile(all, 0.5), quantile(all, 0.99))
}

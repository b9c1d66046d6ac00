package e2e

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weir-mesh/weir/e2e/redis"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/dashboard"
	"github.com/weir-mesh/weir/envoy/dashboard/evaluate"
	"github.com/weir-mesh/weir/envoy/render"
)

// watchedClusters are one for each alert, `fine`, which is healthy all the time, and `tried`, which fails in shadow
// mode.
const watchedClusters = `
clusters:
  fine:     {rate_limit: {requests: 100000}, circuit_breaker: {}, bulkhead: {}, retry: {}, fallback: {}}
  broken:   {circuit_breaker: {failure_threshold: 3, recovery_timeout: 1h}, fallback: {enable_cache_fallback: false, default_data: {body: sorry}}}
  flapping: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 20ms}}
  gone:     {rate_limit: {requests: 100000}}
  limited:  {rate_limit: {algorithm: token_bucket, burst_capacity: 60, refill_rate: 10}}
  near:     {rate_limit: {requests: 5, window_size: 60s}}
  learning: {rate_limit: {algorithm: adaptive, requests: 6000, backoff_factor: 0.5, adaptive_interval: 100ms, adaptive_min_samples: 2}}
  full:     {bulkhead: {max_concurrent: 1}}
  retried:  {retry: {max_attempts: 2, base_delay: 5ms, budget: {percent: 100, min_per_second: 1000}}}
  private:  {fallback: {}}
  carried:  {retry: {driver: filter, via: carried, max_attempts: 2, base_delay: 5ms, budget: {percent: 100, min_per_second: 1000}}}
  home:     {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, failover: {to: [away]}}
  shared:   {rate_limit: {scope: mesh, requests: 100000}}
  tried:    {mode: shadow, circuit_breaker: {failure_threshold: 3, recovery_timeout: 1h}}
`

// firing says which alerts fire in TestDashboard after all failures, and for which cluster; the others are of the
// proxy.
var firing = map[string]string{
	"WeirBreakerOpen":      "broken",
	"WeirBreakerFlapping":  "flapping",
	"WeirNoHealthyHost":    "gone",
	"WeirFallbackShare":    "broken",
	"WeirLimitHit":         "limited",
	"WeirNearLimit":        "near",
	"WeirLimitLowered":     "learning",
	"WeirSuccessRatio":     "retried",
	"WeirBulkheadFull":     "full",
	"WeirRetriesExhausted": "retried",
	"WeirFailover":         "home",
	"WeirRedisErrors":      "",
	"WeirMeshLimitOnError": "",
	"WeirPolicyRefused":    "",
	"WeirRedisSlow":        "",
	"WeirFaults":           "",
	"WeirMisrouted":        "home",
	"WeirPolicyMissing":    "home",
}

// A run is some seconds of a real Envoy, written down as if a minute had passed from one scrape to the next.
const (
	scrapeEvery  = time.Minute
	healthyTimes = 8
	illTimes     = 16 // longer than 5 minutes, which rates look back, and 10, which is the longest `for`
)

// history is what Prometheus would have of an Envoy.
type history struct {
	*weir
	samples evaluate.Samples
	times   []time.Time
	falsify func(text string) string // nil: nothing
}

func (h *history) scrape() {
	h.t.Helper()
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC).Add(time.Duration(len(h.times)) * scrapeEvery)
	text := h.Admin("/stats/prometheus")
	if h.falsify != nil {
		text = h.falsify(text)
	}
	if err := h.samples.Scrape(at, "envoy-1", text); err != nil {
		h.t.Fatal(err)
	}
	h.times = append(h.times, at)
}

// fired are the clusters (or "" for those without) for which a rule fires by the last of these times: its expression
// held at all of them that lie within its `for`.
func (h *history) fired(r dashboard.Rule, times []time.Time) []string {
	h.t.Helper()
	wait := model.Duration(0)
	if r.For != "" {
		var err error
		if wait, err = model.ParseDuration(r.For); err != nil {
			h.t.Fatalf("%s: %v", r.Alert, err)
		}
	}
	held := map[string]time.Time{} // since when
	var fired []string
	for _, at := range times {
		vector, err := h.samples.Query(r.Expr, at)
		if err != nil {
			h.t.Fatalf("%s: %v", r.Alert, err)
		}
		now := map[string]time.Time{}
		for _, s := range vector {
			cluster := s.Metric.Get("cluster")
			now[cluster] = at
			if since, before := held[cluster]; before {
				now[cluster] = since
			}
			if at.Sub(now[cluster]) >= time.Duration(wait) && !slices.Contains(fired, cluster) {
				fired = append(fired, cluster)
			}
		}
		held = now
	}
	slices.Sort(fired)
	return fired
}

// TestDashboard: no alert fires while all is well, each does when what it is for is ill, and no panel of the dashboard
// is empty then. The expressions are those of the shipped files, the metrics a real Envoy's.
func TestDashboard(t *testing.T) {
	t.Parallel()
	kind := redis.Kinds(t)[0]
	_, bridge := redis.Start(t, kind)
	h, up := startHistory(t, bridge)
	rules, err := dashboard.Rules()
	if err != nil {
		t.Fatal(err)
	}

	admin := h.console()
	h.scrape()
	for range healthyTimes {
		for cluster := range up {
			if cluster != "gone" { // which has no host
				h.ask(cluster, 200, 1)
			}
		}
		admin.post("/reset/near") // its minute is over
		eventually(t, func() error {
			if n := h.sum("weir_redis_latency_ms_count"); n < 1 {
				return errors.New("no latency of Redis yet")
			}
			return nil
		})
		h.scrape()
	}
	for _, r := range rules {
		if fired := h.fired(r, h.times); len(fired) > 0 {
			t.Errorf("%s: fires for %q, want nothing while all clusters are healthy", r.Alert, fired)
		}
	}

	h.breakClusters(up, bridge)
	ill := h.times[healthyTimes:]
	for _, r := range rules {
		fired := h.fired(r, ill)
		want, told := firing[r.Alert]
		if told == slices.Contains(fired, want) && !slices.Contains(fired, "fine") && !slices.Contains(fired, "tried") {
			continue
		}
		for _, at := range ill {
			vector, err := h.samples.Query(r.Expr, at)
			t.Logf("%s: %v %v", at.Format(time.TimeOnly), vector, err)
		}
		t.Errorf("%s fires for %q, want %q", r.Alert, fired, want)
	}
	if n := h.Prometheus()[`weir_breaker_state{cluster="tried"}`]; n != 2 {
		t.Errorf("the breaker of the cluster in shadow mode: got state %v, want 2, or this test proves nothing of its alert", n)
	}
	h.checkPanels(ill)

	// Nothing is scraped: what fires is that nothing is.
	var silent history
	silent.weir, silent.times = h.weir, h.times
	for _, r := range rules {
		if fired := silent.fired(r, silent.times); (len(fired) > 0) != (r.Alert == "WeirMissing") {
			t.Errorf("%s: fires for %q while nothing is scraped, want WeirMissing alone to fire", r.Alert, fired)
		}
	}
}

func startHistory(t *testing.T, bridge *redis.Bridge) (*history, map[string]*upstream.Upstream) {
	t.Helper()
	up := map[string]*upstream.Upstream{}
	for _, cluster := range []string{"fine", "broken", "flapping", "gone", "limited", "near", "learning", "full", "retried", "carried", "private", "home", "away", "shared", "tried"} {
		up[cluster] = upstream.New(t)
	}
	o := options(t, watchedClusters+fmt.Sprintf("redis: {dialect: %s, token: %q, timeout: 1s}\n", bridge.Dialect(), meshToken), up)
	o.Redis = &render.Upstream{Name: "redis_http", Host: "127.0.0.1", Port: uint32(bridge.Port)}
	withAdmin(&o)
	w := startWith(t, o, func(b *bootstrapv3.Bootstrap) {
		b.StatsFlushInterval = durationpb.New(50 * time.Millisecond) // until then a histogram shows nothing
		for _, c := range b.GetStaticResources().GetClusters() {
			if c.GetName() == "gone" {
				c.LoadAssignment.Endpoints = nil
			}
		}
	})
	return &history{weir: w}, up
}

// ask sends n requests at the same time, at least one of which must have that status.
func (h *history) ask(cluster string, status, n int) {
	h.t.Helper()
	var all sync.WaitGroup
	answers := make([]answer, n)
	for i := range answers {
		r := h.request(h.t.Context(), http.MethodGet, cluster, "/")
		all.Go(func() { answers[i] = h.do(r) })
	}
	all.Wait()
	if !slices.ContainsFunc(answers, func(a answer) bool { return a.status == status }) {
		h.t.Fatalf("%s: %+v, want %d", cluster, answers, status)
	}
}

// breakClusters breaks every cluster but fine in its own way, and Redis, and scrapes at the same time. Four things are
// false in what is scraped, since a test cannot cause them here: faults of the filter, slow calls to Redis, requests that
// an earlier filter sent elsewhere (see TestMisroutedIsNoticed), and a refused policy (see TestRefusedPolicyAlert).
func (h *history) breakClusters(up map[string]*upstream.Upstream, bridge *redis.Bridge) {
	h.t.Helper()
	for _, cluster := range []string{"broken", "flapping", "learning", "retried", "carried", "home", "tried"} {
		up[cluster].Set(upstream.Status(503))
	}
	up["full"].Set(upstream.Delay(250 * time.Millisecond))
	admin := h.console()
	slow := regexp.MustCompile(`(?m)^(weir_redis_latency_ms_bucket\{le="(0\.5|1|5|10|25|50)"\}) .*$`)
	latency := h.sum("weir_redis_latency_ms_count")
	h.falsify = func(text string) string {
		faults := fmt.Sprintf("weir_faults_total{} %d\n", len(h.times)-healthyTimes)
		changed := strings.Replace(text, "weir_faults_total{} 0\n", faults, 1)
		if len(h.times) > healthyTimes && changed == text {
			h.t.Fatal("got no weir_faults_total of 0 in the metrics")
		}
		changed = strings.Replace(changed, "weir_policy_refused_time_ms{} 0\n", "weir_policy_refused_time_ms{} 1700000000000\n", 1)
		changed += "envoy_extension_config_discovery_http_filter_weir_update_rejected{} 1\n"
		changed += fmt.Sprintf("weir_misrouted_total{cluster=\"home\",to=\"away\"} %d\n", len(h.times)-healthyTimes)
		changed += fmt.Sprintf("weir_policy_missing_total{cluster=\"home\"} %d\n", len(h.times)-healthyTimes)
		return slowed(changed, slow, float64(len(h.times)), latency)
	}
	errorsOf := func() float64 { return h.sum("weir_redis_calls_total") - h.redisCalls()["ok"] }
	bridge.Kill()
	h.ask("home", 503, 1) // which opens its breaker
	for range illTimes {
		h.ask("fine", 200, 1)
		h.ask("broken", 200, 1)
		h.ask("tried", 503, 1)
		h.ask("flapping", 503, 1)
		h.ask("gone", 503, 1)
		h.ask("limited", 429, 90)
		h.ask("near", 429, 6)
		admin.post("/reset/near")
		h.ask("learning", 503, 4)
		h.ask("full", 503, 4)
		h.ask("retried", 503, 1)
		h.ask("carried", 503, 1)
		up["private"].Set(upstream.Body("mine").Header("cache-control", "private"))
		h.ask("private", 200, 1) // not kept
		up["private"].Set(upstream.Status(503))
		if a := h.get("private", "/never"); a.status != 503 { // nothing is kept of it
			h.t.Fatalf("private: %+v, want 503", a)
		}
		h.ask("home", 200, 1)
		before := errorsOf()
		eventually(h.t, func() error {
			h.get("shared", "/")
			if errorsOf() <= before {
				return fmt.Errorf("got no call to Redis since: %v", h.redisCalls())
			}
			return nil
		})
		h.scrape()
	}
}

var histogramBuckets = regexp.MustCompile(`(?m)^(weir_redis_latency_ms_bucket\{le="[^"]*"\}|weir_redis_latency_ms_count\{\}) .*$`)

// slowed writes a histogram with n calls more than there really were, all of which took more than 50 ms.
func slowed(text string, quick *regexp.Regexp, n, latency float64) string {
	return histogramBuckets.ReplaceAllStringFunc(text, func(line string) string {
		if quick.MatchString(line) {
			return line
		}
		return fmt.Sprintf("%s %v", line[:strings.LastIndex(line, " ")], latency+n)
	})
}

// checkPanels wants a number from each of the dashboard's expressions at one of the times.
func (h *history) checkPanels(times []time.Time) {
	h.t.Helper()
	queries, err := dashboard.Queries()
	if err != nil {
		h.t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, q := range queries {
		expr := q.With("30m", "5m")
		for _, at := range times {
			vector, err := h.samples.Query(expr, at)
			if err != nil {
				h.t.Fatalf("%s: %v", q.Panel, err)
			}
			for _, s := range vector {
				shown[expr] = shown[expr] || !math.IsNaN(s.F) && !math.IsInf(s.F, 0)
			}
		}
		if !shown[expr] {
			h.t.Errorf("%s: got no value, want one, from %s", q.Panel, expr)
		}
	}
	h.t.Logf("%d expressions of the dashboard have something to show", len(slices.Collect(maps.Keys(shown))))
}

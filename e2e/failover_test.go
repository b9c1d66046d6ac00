package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// failovers has a few clusters of its own for each scenario of TestFailover: their names begin with the scenario's.
const failovers = `
clusters:
  moves-home: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, failover: {to: [moves-away]}}
  moves-away: {circuit_breaker: {failure_threshold: 3, recovery_timeout: 1h}, rate_limit: {algorithm: token_bucket, burst_capacity: 4, refill_rate: 0.0001}}

  two-home:   {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, failover: {to: [two-open, two-well]}}
  two-open:   {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}}

  circle-a:   {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, failover: {to: [circle-b]}}
  circle-b:   {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, failover: {to: [circle-a]}}

  back-home:  {circuit_breaker: {failure_threshold: 1, recovery_timeout: 300ms, success_threshold: 3, half_open_max_calls: 1}, failover: {to: [back-away]}}

  chosen-home: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, failover: {to: [chosen-away], header: x-region}}
  chosen-other: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, failover: {to: [chosen-away]}}

  shadow-home: {mode: shadow, circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, failover: {to: [shadow-away]}}

  region-home: {circuit_breaker: {failure_threshold: 1000}, failover: {to: [region-2, region-3]}, %[1]s}
  region-2:   {circuit_breaker: {failure_threshold: 1000}}
  region-3:   {circuit_breaker: {failure_threshold: 1000}}

  skips-home: {circuit_breaker: {failure_threshold: 1000}, failover: {to: [skips-open, skips-well]}, %[1]s}
  skips-open: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}}
  skips-well: {}

  retry-home: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, failover: {to: [retry-away]}}
  retry-away: {%[2]s}
`

// unlisted are the clusters of scenarios that the policy does not name.
var unlisted = []string{"two-well", "back-away", "chosen-away", "chosen-plain", "shadow-away"}

// TestFailover: where a request goes while the breaker of its cluster is open, and where it does not.
func TestFailover(t *testing.T) {
	t.Parallel()
	policy := fmt.Sprintf(failovers, retryRules("filter", ""), retryRules("envoy", ""))
	upstreams := map[string]*upstream.Upstream{}
	for line := range strings.Lines(policy) {
		if name, _, found := strings.Cut(strings.TrimSpace(line), ":"); found && name != "clusters" {
			upstreams[name] = upstream.New(t)
		}
	}
	for _, name := range unlisted {
		upstreams[name] = upstream.New(t)
	}
	for name, u := range upstreams {
		u.Set(upstream.Body(name))
	}
	w := start(t, policy+killed(t, upstreams), upstreams)
	for _, scenario := range []struct {
		name string
		run  func(*testing.T, regions)
	}{
		{"to another, whose policy applies", movesAway},
		{"to the first of two whose breaker is not open", firstOfTwo},
		{"not in a circle", inACircle},
		{"back by probes", backByProbes},
		{"no client chooses", noClientChooses},
		{"not in shadow", notInShadow},
		{"later tries in other regions", laterTriesElsewhere},
		{"later tries not where the breaker is open", laterTriesSkip},
		{"to one that is retried", toOneThatIsRetried},
	} {
		t.Run(scenario.name, func(t *testing.T) { scenario.run(t, regions{w.in(t), upstreams}) })
	}
	t.Run("under load", func(t *testing.T) {
		for name := range killedRetries {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				killedUnderLoad(t, w.in(t), name, upstreams[name], upstreams[name+"-away"])
			})
		}
	})
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// regions is an Envoy with the clusters of several scenarios.
type regions struct {
	*weir
	upstreams map[string]*upstream.Upstream
}

// fail makes a cluster's upstream fail, and its breaker open.
func (r regions) fail(cluster string) {
	r.t.Helper()
	r.upstreams[cluster].Set(upstream.Status(500).Body("failed"))
	if a := r.get(cluster, "/"); a.status != 500 || a.body != "failed" {
		r.t.Fatalf("the failure that opens the breaker: got %+v, want status 500", a)
	}
	r.upstreams[cluster].Forget()
}

// answersFrom sends a request to a cluster, and wants the unchanged response of another one.
func (r regions) answersFrom(cluster, other string, headers ...string) {
	r.t.Helper()
	a := r.send("GET", cluster, "/", headers...)
	if a.err != nil || a.status != 200 || a.body != other || a.source() != "upstream" && !slices.Contains(unlisted, cluster) {
		r.t.Errorf("%s %v: %+v, want the answer of %s", cluster, headers, a, other)
	}
}

// counts holds clusters' upstreams to what they got.
func (r regions) counts(want map[string]int) {
	r.t.Helper()
	for cluster, n := range want {
		if got := r.upstreams[cluster].Count(); got != n {
			r.t.Errorf("%s got %d requests, want %d", cluster, got, n)
		}
	}
}

func (r regions) failedOver(from, to string, n float64) {
	r.t.Helper()
	r.WaitMetric(fmt.Sprintf(`weir_failovers_total{cluster="%s",to="%s"}`, from, to), engine.Exactly(n))
}

func movesAway(t *testing.T, r regions) {
	r.answersFrom("moves-home", "moves-home")
	r.upstreams["moves-home"].Forget()
	r.fail("moves-home")
	for range 3 {
		r.answersFrom("moves-home", "moves-away")
	}
	for _, arrived := range r.upstreams["moves-away"].Requests() {
		if got := arrived.Header.Get("x-weir-cluster"); got != "" {
			t.Errorf("upstream got x-weir-cluster %q, want none", got)
		}
	}
	// Its limit of 4 is one for its own requests and those that came from elsewhere; so is its breaker.
	r.answersFrom("moves-away", "moves-away")
	for _, cluster := range []string{"moves-home", "moves-away"} {
		a := r.get(cluster, "/")
		if a.status != 429 || a.reason() != "rate_limited" || !strings.Contains(a.header.Get("ratelimit-policy"), `"moves-away"`) {
			t.Errorf("%s, the other cluster's limit is used up: got %+v, want status 429 by moves-away", cluster, a)
		}
	}
	r.counts(map[string]int{"moves-home": 0, "moves-away": 4})
	r.failedOver("moves-home", "moves-away", 4)
	r.WaitMetric(`weir_requests_total{cluster="moves-away",decision="allowed"}`, engine.Exactly(4))
	r.WaitMetric(`weir_responses_total{cluster="moves-away",source="upstream"}`, engine.Exactly(4))
}

func firstOfTwo(_ *testing.T, r regions) {
	r.fail("two-home")
	r.answersFrom("two-home", "two-open")
	r.fail("two-open")
	r.answersFrom("two-home", "two-well")
	r.counts(map[string]int{"two-home": 0, "two-open": 0, "two-well": 1})
	r.failedOver("two-home", "two-open", 1)
	r.failedOver("two-home", "two-well", 1)
}

func inACircle(t *testing.T, r regions) {
	r.fail("circle-a")
	r.answersFrom("circle-a", "circle-b")
	r.answersFrom("circle-b", "circle-b")
	r.fail("circle-b")
	for _, cluster := range []string{"circle-a", "circle-b"} {
		if a := r.get(cluster, "/"); a.status != 503 || a.reason() != "circuit_open" || a.header.Get("retry-after") == "" {
			t.Errorf("%s, both breakers are open: got %+v, want status 503, circuit_open and a retry-after", cluster, a)
		}
	}
	r.counts(map[string]int{"circle-a": 0, "circle-b": 0})
}

func backByProbes(t *testing.T, r regions) {
	home, away := r.upstreams["back-home"], r.upstreams["back-away"]
	r.fail("back-home")
	opened := time.Now()
	r.answersFrom("back-home", "back-away")
	eventually(t, func() error { // a probe, which fails
		r.get("back-home", "/")
		if home.Count() == 0 {
			return fmt.Errorf("got no probe")
		}
		return nil
	})
	if first := home.Arrivals()[0].Sub(opened); first < 250*time.Millisecond {
		t.Errorf("the first probe came %v after the breaker opened, want 250 ms or more", first)
	}
	home.Set(upstream.Body("back-home"))
	home.Forget()
	eventually(t, func() error { // three probes, that do not
		if a := r.get("back-home", "/"); a.status != 200 {
			t.Fatalf("a request failed: got %+v, want status 200", a)
		}
		if home.Count() < 3 {
			return fmt.Errorf("got %d probes, want 3", home.Count())
		}
		return nil
	})
	away.Forget()
	for range 10 {
		r.answersFrom("back-home", "back-home")
	}
	r.counts(map[string]int{"back-away": 0})
	r.WaitMetric(`weir_breaker_state{cluster="back-home"}`, engine.Exactly(0))
}

// noClientChooses: what a client sends in the header is taken away, whatever the policy of its cluster, and whether or
// not the breaker is open. The same name under another policy's failover is as good as any.
func noClientChooses(t *testing.T, r regions) {
	for _, cluster := range []string{"chosen-home", "chosen-other", "chosen-plain"} {
		for _, header := range []string{"x-region", "x-weir-cluster", "X-Weir-Cluster"} {
			r.answersFrom(cluster, cluster, header, "chosen-away")
			r.answersFrom(cluster, cluster, header, "chosen-plain", header, "chosen-away")
		}
		for _, arrived := range r.upstreams[cluster].Requests() {
			if got := arrived.Header.Get("x-region") + arrived.Header.Get("x-weir-cluster"); got != "" {
				t.Errorf("the upstream of %s got Weir's routing header %q, want none", cluster, got)
			}
		}
	}
	r.counts(map[string]int{"chosen-away": 0})
	for _, cluster := range []string{"chosen-home", "chosen-other"} { // and it is their own policy that decided
		r.WaitMetric(fmt.Sprintf(`weir_requests_total{cluster="%s",decision="allowed"}`, cluster), engine.Exactly(6))
	}
	r.fail("chosen-home")
	r.answersFrom("chosen-home", "chosen-away", "x-region", "chosen-home")
	r.answersFrom("chosen-home", "chosen-away", "x-weir-cluster", "chosen-home")
	r.counts(map[string]int{"chosen-home": 0, "chosen-away": 2})
}

func notInShadow(t *testing.T, r regions) {
	r.fail("shadow-home")
	if a := r.get("shadow-home", "/"); a.body != "failed" {
		t.Errorf("in shadow: got %+v, want the response of its own upstream", a)
	}
	r.counts(map[string]int{"shadow-away": 0})
}

// laterTriesElsewhere: the filter's first attempt is at home, the second in the next region, the third in the one after
// that.
func laterTriesElsewhere(t *testing.T, r regions) {
	home, second, third := r.upstreams["region-home"], r.upstreams["region-2"], r.upstreams["region-3"]
	home.Set(upstream.Status(500).Body("failed"))
	r.answersFrom("region-home", "region-2")
	r.counts(map[string]int{"region-home": 1, "region-2": 1, "region-3": 0})
	second.Set(upstream.Status(500).Body("failed, too"))
	r.answersFrom("region-home", "region-3")
	r.counts(map[string]int{"region-home": 2, "region-2": 2, "region-3": 1})
	third.Set(upstream.Status(502).Body("and that one"))
	if a := r.get("region-home", "/"); a.status != 502 || a.body != "and that one" || a.errorOf() != "RetryExhausted" {
		t.Errorf("all regions failed: got %+v, want status 502 of the last one and RetryExhausted", a)
	}
	r.counts(map[string]int{"region-home": 3, "region-2": 3, "region-3": 2})
	r.retries("region-home", 5, 1)
}

func laterTriesSkip(_ *testing.T, r regions) {
	r.fail("skips-open")
	r.upstreams["skips-home"].Set(upstream.Status(500).Body("failed"))
	r.answersFrom("skips-home", "skips-well")
	r.counts(map[string]int{"skips-home": 1, "skips-open": 0, "skips-well": 1})
}

// toOneThatIsRetried: the other cluster's `retry` applies, with its back-off.
func toOneThatIsRetried(_ *testing.T, r regions) {
	r.fail("retry-home")
	r.upstreams["retry-away"].Script(upstream.Status(500), upstream.Status(500), upstream.Body("retry-away"))
	r.answersFrom("retry-home", "retry-away")
	r.counts(map[string]int{"retry-home": 0, "retry-away": 3})
	r.retries("retry-away", 2, 0)
}

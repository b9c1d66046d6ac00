package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestTokenBucketOverTwoWorkers sends far above the limit over 64 connections, for whole seconds, and checks every
// interval that two of the answers span against burst_capacity + refill_rate x T.
func TestTokenBucketOverTwoWorkers(t *testing.T) {
	t.Parallel()
	const burst, refill = 20, 50.0
	u := upstream.New(t)
	w := start(t, `
clusters:
  aws:
    rate_limit: {algorithm: token_bucket, burst_capacity: 20, refill_rate: 50}
`, map[string]*upstream.Upstream{"aws": u})

	answers := load.Run(t, load.Plan{URL: w.url, Host: "aws", Connections: 64, Duration: 3 * time.Second, Rate: 1500})
	for _, failed := range answers.Failed() {
		t.Fatalf("a request failed: %v", failed.Err)
	}
	admitted, refused := answers.With(200), answers.With(429)
	if len(admitted)+len(refused) != len(answers) {
		t.Fatalf("got statuses %v, want 200 and 429 alone", answers.Statuses())
	}
	if u.Count() != len(admitted) {
		t.Errorf("got %d admitted by the clients' count, want %d, the upstream's count", len(admitted), u.Count())
	}
	// A request that began after s and ended before e was admitted between them, whatever the delays on its way.
	starts, ends := admitted.Starts(), admitted.Ends()
	for _, s := range starts {
		within := make([]time.Time, 0, len(ends))
		for i, e := range ends {
			if !starts[i].Before(s) {
				within = append(within, e)
			}
		}
		slices.SortFunc(within, time.Time.Compare)
		for n, e := range within {
			if allowed := burst + refill*e.Sub(s).Seconds(); float64(n+1) > allowed {
				t.Fatalf("got %d admitted within %v, want at most %.2f", n+1, e.Sub(s), allowed)
			}
		}
	}
	took := slices.MaxFunc(ends, time.Time.Compare).Sub(slices.MinFunc(starts, time.Time.Compare))
	if least := 0.97 * (burst + refill*(took.Seconds()-0.1)); float64(len(admitted)) < least {
		t.Errorf("got %d admitted in %v of load above the limit, want at least %.0f", len(admitted), took, least)
	}
	w.WaitMetric(`weir_requests_total{cluster="aws",decision="allowed"}`, engine.Exactly(float64(len(admitted))))
	w.WaitMetric(`weir_requests_total{cluster="aws",decision="rate_limited"}`, engine.Exactly(float64(len(refused))))
	w.WaitMetric(`weir_responses_total{cluster="aws",source="upstream"}`, engine.Exactly(float64(len(admitted))))
	w.WaitMetric(`weir_faults_total`, engine.Exactly(0))
	t.Logf("%d asked, %d admitted in %v (allowed: %.0f), conflicts: %v", len(answers), len(admitted),
		took.Round(time.Millisecond), burst+refill*took.Seconds(), w.Prometheus()["weir_state_conflicts_total"])
}

// TestRefusal looks at one 429 as a client does.
func TestRefusal(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	w := start(t, `
clusters:
  aws:
    rate_limit: {algorithm: token_bucket, burst_capacity: 1, refill_rate: 0.1}
  all:
    rate_limit: {algorithm: token_bucket, burst_capacity: 2, refill_rate: 0.1, headers: all}
`, map[string]*upstream.Upstream{"aws": u, "all": u})

	if a := w.get("aws", "/"); a.status != 200 || a.source() != "upstream" || a.reason() != "" || a.header.Get("ratelimit") != "" {
		t.Errorf("allowed: got %+v, want status 200 from upstream, with no reason and no ratelimit", a)
	}
	a := w.get("aws", "/")
	for name, want := range map[string]string{
		"content-type": "application/problem+json", "retry-after": "10", "x-envoy-ratelimited": "true",
		"x-weir-source": "error", "x-weir-reason": "rate_limited", "x-weir-fallback-used": "",
		"ratelimit-policy": `"aws";q=1;w=10`, "ratelimit": `"aws";r=0;t=10`,
		"x-ratelimit-limit": "1", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "10",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if p := problemOf(t, a.body); a.status != 429 || p.Title != "RateLimitExceeded" || p.Status != 429 || p.RetryAfter != 10 || p.Source != "error" {
		t.Errorf("got %d %s, want 429, title RateLimitExceeded, retry_after 10 and source error", a.status, a.body)
	}
	for r := 1; r >= 0; r-- {
		a := w.get("all", "/")
		if got, want := a.header.Get("x-ratelimit-remaining"), fmt.Sprint(r); a.status != 200 || got != want {
			t.Errorf("headers: all: %d, remaining %q, want %q", a.status, got, want)
		}
	}
	head := w.do(w.request(t.Context(), "HEAD", "aws", "/"))
	if head.status != 429 || head.body != "" || head.err != nil {
		t.Errorf("HEAD: got %+v, want status 429 and no body", head)
	}
}

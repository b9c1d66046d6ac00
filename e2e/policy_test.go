package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// badPolicy has one mistake of several kinds; badLines is what the log must say of each.
const badPolicy = `
clusters:
  aws:
    rate_limit: {algorithm: token_bucket, burst_capacity: 0, refil_rate: 1}
    circuit_breaker: {recovery_timeout: soon, expected_failures: [6xx]}
`

var badLines = []string{
	"clusters.aws.rate_limit.burst_capacity: must be at least 1, got 0",
	"clusters.aws.rate_limit.refil_rate: unknown key, did you mean `refill_rate`?",
	"clusters.aws.circuit_breaker.recovery_timeout: ",
	"clusters.aws.circuit_breaker.expected_failures[0]: ",
}

// TestEnvoyRefusesToStartWithABadPolicy, in both forms of the document.
func TestEnvoyRefusesToStartWithABadPolicy(t *testing.T) {
	t.Parallel()
	for _, stringValue := range []bool{false, true} {
		o := options(t, badPolicy, map[string]*upstream.Upstream{"aws": upstream.New(t)})
		o.StringValue = stringValue
		bootstrap, err := render.Bootstrap(o)
		if err != nil {
			t.Fatal(err)
		}
		exit := engine.StartExpectingFailure(t, engine.Config{Bootstrap: bootstrap})
		if exit.Status == 0 {
			t.Error("got exit status 0, want a failure")
		}
		for _, line := range badLines {
			if !strings.Contains(exit.Logs, line) {
				t.Errorf("StringValue %v: got no %q in the log", stringValue, line)
			}
		}
	}
}

// TestReload changes the policy by its watched file: a bad one is refused with the old one still enforced, a good one
// holds from then on, and neither forgets the counters and the breaker.
func TestReload(t *testing.T) {
	t.Parallel()
	u, failing := upstream.New(t), upstream.New(t)
	failing.Set(upstream.Status(500))
	upstreams := map[string]*upstream.Upstream{"aws": u, "failing": failing}
	policy := func(burst int, headers string) string {
		return fmt.Sprintf(`
clusters:
  aws:
    rate_limit: {algorithm: token_bucket, burst_capacity: %d, refill_rate: 0.001, headers: %s}
  failing:
    circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}
`, burst, headers)
	}
	w := startWatched(t, policy(3, "refused"), upstreams)

	// Two of three are used, and the other breaker is open.
	for range 2 {
		if a := w.get("aws", "/"); a.status != 200 || a.header.Get("ratelimit") != "" {
			t.Fatalf("limit before the reload: got %+v, want status 200 without ratelimit", a)
		}
	}
	w.get("failing", "/")
	if a := w.get("failing", "/"); a.reason() != "circuit_open" {
		t.Fatalf("breaker before the reload: got %+v, want circuit_open", a)
	}

	// A bad one.
	w.replace(badPolicy, "config_fail")
	for _, line := range badLines {
		w.WaitLog(line)
	}
	if a := w.get("failing", "/"); a.reason() != "circuit_open" {
		t.Errorf("after a bad policy: got %+v, want circuit_open by the old one", a)
	}

	// A good one: it shows its headers, and used tokens stay used.
	w.replace(policy(3, "all"), "config_reload")
	var last answer
	eventually(t, func() error { // the workers take it up one after the other
		last = w.get("aws", "/")
		if last.header.Get("ratelimit") == "" {
			return fmt.Errorf("the new policy is not in force yet: %+v", last)
		}
		return nil
	})
	if r := last.header.Get("x-ratelimit-remaining"); r != "0" {
		t.Errorf("two of three were used before the reload: got %s remaining, want 0", r)
	}
	if a := w.get("aws", "/"); a.status != 429 {
		t.Errorf("limit after the reload: got %+v, want status 429 and no free burst", a)
	}
	if a := w.get("failing", "/"); a.reason() != "circuit_open" {
		t.Errorf("breaker after the reload: got %+v, want circuit_open", a)
	}
	if n := u.Count(); n != 3 {
		t.Errorf("%d requests reached the upstream, want 3, the limit", n)
	}
}

// TestForgedHeaders: what only Weir may say, a client can't, neither to Weir nor to the upstream.
func TestForgedHeaders(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	w := start(t, `
clusters:
  aws:
    circuit_breaker: {timeout: 5s}
`, map[string]*upstream.Upstream{"aws": u})
	r := w.request(t.Context(), "GET", "aws", "/")
	r.Header.Set("X-Weir-Cluster", "other")
	r.Header["x_weir_cluster"] = []string{"other"}
	r.Header["X-Weir_cluster"] = []string{"other"}
	r.Header.Add("x-weir-source", "cache")
	r.Header.Add("x-weir-source", "default")
	r.Header.Set("x-weird", "stays")
	r.Header.Set("x-envoy-upstream-rq-timeout-ms", "1")
	if a := w.do(r); a.status != 200 || a.source() != "upstream" {
		t.Fatalf("got %+v, want status 200 from upstream", a)
	}
	got := u.Requests()[0].Header
	for name := range got {
		if strings.HasPrefix(strings.ReplaceAll(strings.ToLower(name), "_", "-"), "x-weir-") {
			t.Errorf("upstream got %s %q, want no header of Weir", name, got[name])
		}
	}
	if got.Get("x-weird") != "stays" {
		t.Errorf("a header that only looks like Weir's was removed: got %v", got)
	}
	if ms := got.Get("x-envoy-expected-rq-timeout-ms"); ms != "5000" {
		t.Errorf("the router's timeout: got %q ms, want 5000", ms)
	}
}

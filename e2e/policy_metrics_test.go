package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/dashboard"
)

// TestRefusedPolicyAlert: a refused policy raises WeirPolicyRefused until one is in force that came after it. Envoy does
// not ask the filter about a text that it refused before, nor about one that is in force all the time.
func TestRefusedPolicyAlert(t *testing.T) {
	t.Parallel()
	rules, err := dashboard.Rules()
	if err != nil {
		t.Fatal(err)
	}
	limit := func(n int) string { return fmt.Sprintf("clusters: {aws: {rate_limit: {requests: %d}}}", n) }
	const bad, worse = "clusters: {aws: {nonsense: 1}}", "clusters: {aws: {rubbish: 1}}"
	w := startWatched(t, limit(10), map[string]*upstream.Upstream{"aws": upstream.New(t)})
	h := &history{weir: w.weir}
	h.scrape()
	for _, step := range []struct {
		policy, becomes string
		now, later      bool // it raises the alert at once; ten minutes later
		logs            string
	}{
		{bad, "config_fail", true, true, "nonsense: unknown key"},
		{limit(10), "update_success", false, false, ""}, // which was in force all the time
		{bad, "config_fail", true, false, ""},           // refused before: the filter is not asked, so Envoy's counter alone tells
		{limit(20), "config_reload", false, false, ""},
		{worse, "config_fail", true, true, "rubbish: unknown key"},
		{limit(10), "config_reload", false, false, ""}, // comes back
	} {
		w.replace(step.policy, step.becomes)
		if step.logs != "" {
			w.WaitLog(step.logs)
		}
		for _, want := range []bool{step.now, step.later} {
			h.scrape()
			for _, r := range rules {
				if r.Alert != "WeirPolicyRefused" {
					continue
				}
				vector, err := h.samples.Query(r.Expr, h.times[len(h.times)-1])
				if err != nil {
					t.Fatal(err)
				}
				if fires := len(vector) > 0; fires != want {
					t.Errorf("%s: fires at %s: %v, want %v: %v", step.policy, h.times[len(h.times)-1].Format(time.TimeOnly), fires, want, vector)
				}
			}
			for range 10 {
				h.scrape()
			}
		}
	}
}

// TestLimitMetricsFollowThePolicy: a new policy's kind of limit, and that there is none any more.
func TestLimitMetricsFollowThePolicy(t *testing.T) {
	t.Parallel()
	w := startWatched(t, "clusters: {aws: {rate_limit: {requests: 10}}}", map[string]*upstream.Upstream{"aws": upstream.New(t)})
	w.get("aws", "/")
	for _, step := range []struct {
		policy       string
		limit, keyed float64
	}{
		{"", 10, 0},
		{"clusters: {aws: {rate_limit: {requests: 20, key: [client_ip]}}}", 20, 1},
		{"clusters: {aws: {circuit_breaker: {}}}", 0, 0},
		{"clusters: {aws: {rate_limit: {requests: 30}}}", 30, 0},
	} {
		if step.policy != "" {
			w.replace(step.policy, "config_reload")
		}
		w.WaitMetric(`weir_rate_limit_current{cluster="aws"}`, engine.Exactly(step.limit))
		w.WaitMetric(`weir_rate_limit_keyed{cluster="aws"}`, engine.Exactly(step.keyed))
	}
}

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/dashboard"
	"github.com/weir-mesh/weir/filter/adminapi"
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

// TestRefusedPolicyIsShown: the status and the command have all reasons of the last refused policy until another one
// starts.
func TestRefusedPolicyIsShown(t *testing.T) {
	t.Parallel()
	limit := func(n int) string { return fmt.Sprintf("clusters: {aws: {rate_limit: {requests: %d}}}", n) }
	w := startWatched(t, limit(10), map[string]*upstream.Upstream{"aws": upstream.New(t)}, withAdmin)
	admin := w.console()
	for _, step := range []struct {
		policy, becomes string
		reasons         []string
	}{
		{"", "", nil},
		{"clusters: {aws: {nonsense: 1, mode: on}}", "config_fail", []string{"clusters.aws.mode: ", "clusters.aws.nonsense: unknown key"}},
		{"clusters: {aws: {rubbish: \"<b>\"}}", "config_fail", []string{"clusters.aws.rubbish: unknown key"}},
		{limit(20), "config_reload", nil},
		{"clusters: {aws: {litter: 1}}", "config_fail", []string{"clusters.aws.litter: unknown key"}},
		{limit(10), "config_reload", nil}, // comes back
	} {
		if step.policy != "" {
			w.replace(step.policy, step.becomes)
		}
		eventually(t, func() error {
			var s adminapi.Status
			a := admin.ask(http.MethodGet, "/status", "")
			if err := json.Unmarshal([]byte(a.body), &s); err != nil {
				return fmt.Errorf("GET /status: got %+v: %w", a, err)
			}
			var reasons []string
			if s.Refused != nil {
				reasons = s.Refused.Reasons
				if age := time.Since(s.Refused.At.Time()); age < -time.Second || age > time.Minute {
					return fmt.Errorf("refused at %v, want now", s.Refused.At.Time())
				}
			}
			if !slices.EqualFunc(reasons, step.reasons, strings.HasPrefix) {
				return fmt.Errorf("after %q: got reasons %q, want %q", step.policy, reasons, step.reasons)
			}
			return nil
		})
		got := runWeir(t, "status", admin.url)
		for _, reason := range append([]string{" was refused at "}, step.reasons...) {
			if strings.Contains(got.out, reason) != (step.reasons != nil) {
				t.Errorf("after %q: weir status with %q: %v, want %v: %s", step.policy, reason, step.reasons == nil, step.reasons != nil, got.out)
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

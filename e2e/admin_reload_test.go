package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestAdminOverReload: clusters that a new policy no longer has disappear from the status, the others keep their
// counts.
func TestAdminOverReload(t *testing.T) {
	t.Parallel()
	failing := upstream.New(t)
	failing.Set(upstream.Status(500))
	strange := "a/b%c <d>"
	ups := map[string]*upstream.Upstream{"stays": upstream.New(t), "goes": failing, "rests": failing, "learns": failing, "comes": upstream.New(t)}
	policy := func(middle string) string {
		return `{clusters: {stays: {rate_limit: {requests: 10, window_size: 3600s}}, "` + strange + `": {circuit_breaker: {}}, ` + middle + `}}`
	}
	w := startWatched(t, policy(`goes: {rate_limit: {algorithm: adaptive}, circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}}, learns: {rate_limit: {algorithm: adaptive}}, rests: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, bulkhead: {}, rate_limit: {algorithm: adaptive}}`), ups, withAdmin)
	c := w.console()
	for range 4 {
		w.get("stays", "/")
	}
	w.get("goes", "/")
	w.get("learns", "/")
	w.get("rests", "/")
	c.waitStatus("goes", map[string]any{"circuit_breaker.state": "open"})
	c.waitStatus(strange, map[string]any{"cluster": strange})
	w.WaitMetric(`weir_breaker_state{cluster="goes"}`, engine.Exactly(2))
	w.WaitMetric(`weir_mode{cluster="goes"}`, engine.Exactly(2))
	w.WaitMetric(`weir_breaker_state{cluster="rests"}`, engine.Exactly(2))
	w.WaitMetric(`weir_success_ratio{cluster="rests"}`, engine.Exactly(0))
	w.WaitMetric(`weir_success_ratio{cluster="goes"}`, engine.Exactly(0))
	w.WaitMetric(`weir_success_ratio{cluster="learns"}`, engine.Exactly(0))

	w.replace(badPolicy, "config_fail")
	c.waitStatus("goes", map[string]any{"circuit_breaker.state": "open"})

	w.replace(policy(`comes: {bulkhead: {}}, learns: {rate_limit: {requests: 10}}, rests: {mode: "off", circuit_breaker: {}}`), "config_reload")
	eventually(t, func() error {
		s := c.status()
		if s.at("clusters.goes") != "absent" || s.at("clusters.comes.bulkhead.max_concurrent") != 100.0 {
			return fmt.Errorf("got status %v, want goes absent and comes with max_concurrent 100", s)
		}
		return nil
	})
	if a := c.ask(http.MethodGet, "/status/goes", ""); a.status != 404 {
		t.Errorf("removed cluster: got %+v, want status 404", a)
	}
	if a := c.ask(http.MethodPost, "/breaker/"+url.PathEscape(strange)+"/open", ""); a.status != 200 {
		t.Errorf("cluster with a strange name: got %+v, want status 200", a)
	}
	c.waitStatus("stays", map[string]any{"rate_limit.remaining": 6.0, "requests.allowed": 4.0})
	w.WaitMetric(`weir_mode{cluster="goes"}`, engine.Exactly(0))
	w.WaitMetric(`weir_mode{cluster="rests"}`, engine.Exactly(0))
	w.WaitMetric(`weir_success_ratio{cluster="rests"}`, engine.Exactly(10000))
	w.WaitMetric(`weir_breaker_state{cluster="rests"}`, engine.Exactly(0))
	w.WaitMetric(`weir_success_ratio{cluster="goes"}`, engine.Exactly(10000))
	w.WaitMetric(`weir_success_ratio{cluster="learns"}`, engine.Exactly(10000)) // which it learns no more
	w.WaitMetric(`weir_breaker_state{cluster="goes"}`, engine.Exactly(0))       // or an alert on it would never end

	// It comes back as it was, for its record outlives the policy.
	w.replace(policy(`goes: {mode: shadow, circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}}`), "config_reload")
	c.waitStatus("goes", map[string]any{"circuit_breaker.state": "open"})
	w.get("goes", "/")
	w.WaitMetric(`weir_breaker_state{cluster="goes"}`, engine.Exactly(2))
	w.WaitMetric(`weir_mode{cluster="goes"}`, engine.Exactly(1))
	w.replace(policy(`goes: {mode: "off"}`), "config_reload")
	w.WaitMetric(`weir_mode{cluster="goes"}`, engine.Exactly(0))
}

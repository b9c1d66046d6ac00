package e2e

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

func (a *administered) testBefore() {
	s := a.status()
	for _, cluster := range []string{"limited", "bucket", "keyed", "learning", "broken", "forced", "bulk", "shadowed", "home", "unused"} {
		if got := s.at("clusters." + cluster + ".requests.allowed"); got != 0.0 {
			a.testing().Errorf("%s: got %v allowed requests before the first one, want 0", cluster, got)
		}
	}
	for path, want := range map[string]any{
		"clusters.team-*": "absent", "clusters.team-1": "absent", // a pattern's clusters are known when they are used
		"clusters.idle.mode":                    "off",
		"clusters.idle.circuit_breaker":         "absent",
		"clusters.shadowed.mode":                "shadow",
		"clusters.limited.mode":                 "enforce",
		"clusters.limited.circuit_breaker":      "absent",
		"clusters.unused.rate_limit":            "absent",
		"clusters.unused.circuit_breaker.state": "closed",
		"clusters.unused.circuit_breaker.since": nil,
		"redis.state":                           "off",
		"redis.calls_total":                     0.0,
		"envoy.node":                            "weir",
	} {
		if got := s.at(path); got != want {
			a.testing().Errorf("%s: %v, want %v", path, got, want)
		}
	}
	for cluster, mode := range map[string]float64{"limited": 2, "shadowed": 1, "idle": 0} {
		a.WaitMetric(fmt.Sprintf(`weir_mode{cluster=%q}`, cluster), engine.Exactly(mode))
	}
	if err := during(time.Now().Add(-time.Second), time.Now())(s.at("time")); err != nil {
		a.testing().Error(err)
	}
	if err := during(time.Now().Add(-time.Minute), time.Now())(s.at("envoy.since")); err != nil {
		a.testing().Error(err)
	}
	if version, _ := s.at("envoy.version").(string); version == "" || !strings.Contains(a.Admin("/server_info"), "/"+version+"/") {
		a.testing().Errorf("envoy.version: got %q, want the one of Envoy's own /server_info", version)
	}
}

func (a *administered) testLimits() {
	t := a.testing()
	if got := a.times(8, "limited"); got[200] != 5 || got[429] != 3 {
		t.Fatalf("limited: got statuses %v, want 5 x 200 and 3 x 429", got)
	}
	a.waitStatus("limited", map[string]any{
		"mode": "enforce", "rate_limit.algorithm": "sliding_window", "rate_limit.scope": "proxy", "rate_limit.window": 3600.0,
		"rate_limit.requests_per_minute": 0.083, "rate_limit.configured_requests_per_minute": 0.083,
		"rate_limit.remaining": 0.0, "rate_limit.success_rate": nil, "rate_limit.limited_total": 3.0, "rate_limit.keyed": false,
		"requests.allowed": 5.0, "requests.rate_limited": 3.0, "requests.circuit_open": 0.0,
		"answers.upstream": 5.0, "answers.error": 3.0, "fallback": "absent", "bulkhead": "absent", "retry": "absent",
	})
	if got := a.times(3, "bucket"); got[200] != 3 {
		t.Fatalf("bucket: got statuses %v, want 3 x 200", got)
	}
	a.waitStatus("bucket", map[string]any{"rate_limit.algorithm": "token_bucket", "rate_limit.requests_per_minute": 0.06, "rate_limit.remaining": 1.0, "rate_limit.window": 4000.0})
	for _, tenant := range []string{"a", "b"} {
		if got := a.times(3, "keyed", "x-tenant", tenant); got[429] != 1 {
			t.Fatalf("keyed: got statuses %v, want one 429", got)
		}
	}
	a.waitStatus("keyed", map[string]any{"rate_limit.keyed": true, "rate_limit.remaining": nil, "rate_limit.limited_total": 2.0, "requests.allowed": 4.0})
	if got := a.times(3, "shadowed"); got[200] != 3 {
		t.Fatalf("shadowed: got statuses %v, want 3 x 200", got)
	}
	a.waitStatus("shadowed", map[string]any{"mode": "shadow", "requests.allowed": 1.0, "requests.rate_limited": 2.0, "rate_limit.remaining": 0.0, "answers.upstream": 3.0})
	a.times(2, "team-1")
	a.waitStatus("team-1", map[string]any{"rate_limit.requests_per_minute": 7.0, "rate_limit.remaining": 5.0})

	a.WaitMetric(`weir_mode{cluster="team-1"}`, engine.Exactly(2))

	a.testUnknownRatio()
	a.up["learning"].Set(upstream.Status(500))
	for range 3 {
		a.times(12, "learning")
		time.Sleep(120 * time.Millisecond) // an interval of the adaptive limit
	}
	a.waitStatus("learning", map[string]any{
		"rate_limit.algorithm": "adaptive", "rate_limit.configured_requests_per_minute": 10.0, "rate_limit.success_rate": 0.0,
		"rate_limit.requests_per_minute": within(1, 5),
	})
	a.WaitMetric(`weir_success_ratio{cluster="learning"}`, engine.Exactly(0))
	eventually(t, func() error {
		now := a.status().at("clusters.learning.rate_limit.requests_per_minute").(float64)
		if shown := a.Prometheus()[`weir_rate_limit_current{cluster="learning"}`]; shown != math.Round(now) {
			return fmt.Errorf("the gauge shows %v, want the status's %v, rounded", shown, now)
		}
		return nil
	})
	a.WaitMetric(`weir_rate_limit_current{cluster="team-1"}`, engine.Exactly(7))
}

// testUnknownRatio: before the first outcome the success ratio is unknown, and 0 would cause an alert.
func (a *administered) testUnknownRatio() {
	a.up["learning"].Set(upstream.Delay(time.Minute))
	ctx, leave := context.WithCancel(a.testing().Context())
	r := a.request(ctx, http.MethodGet, "learning", "/")
	var waiting sync.WaitGroup
	waiting.Go(func() { a.do(r) }) // which its client gives up: no outcome
	a.WaitMetric(`weir_rate_limit_current{cluster="learning"}`, engine.Exactly(10))
	a.waitStatus("learning", map[string]any{"rate_limit.success_rate": nil, "requests.allowed": 1.0})
	if ratio, shown := a.Prometheus()[`weir_success_ratio{cluster="learning"}`]; shown {
		a.testing().Errorf("got a success ratio of %v, want none before it is known", ratio)
	}
	leave()
	waiting.Wait()
}

func (a *administered) testBreaker() {
	t := a.testing()
	a.waitStatus("broken", map[string]any{
		"circuit_breaker.state": "closed", "circuit_breaker.forced": "auto", "circuit_breaker.since": nil, "circuit_breaker.cause": nil, "circuit_breaker.opened_at": nil,
		"circuit_breaker.failure_threshold": 3.0, "circuit_breaker.success_threshold": 2.0, "circuit_breaker.recovery_timeout": 60.0,
		"circuit_breaker.failure_rate_threshold": 0.25, "circuit_breaker.slow_calls_threshold": nil,
	})
	a.up["broken"].Set(upstream.Status(500))
	a.times(2, "broken")
	a.waitStatus("broken", map[string]any{"circuit_breaker.failure_count": 2.0, "answers.default": 2.0})
	before := time.Now()
	a.times(1, "broken")
	after := time.Now()
	a.times(4, "broken")
	a.waitStatus("broken", map[string]any{
		"circuit_breaker.state": "open", "circuit_breaker.since": during(before, after), "circuit_breaker.opened_at": during(before, after),
		"circuit_breaker.cause": "consecutive_failures", "circuit_breaker.opens_total": 1.0, "circuit_breaker.retry_after": within(20, 60),
		"requests.allowed": 3.0, "requests.circuit_open": 4.0, "answers.default": 7.0, "fallback.default": 7.0, "fallback.error": 0.0, "fallback.upstream": "absent",
	})
	a.waitStatus("broken", map[string]any{"upstream.failed_total": 3.0, "upstream.success_rate": 0.0})
	a.waitStatus("limited", map[string]any{"upstream.failed_total": 0.0, "upstream.success_rate": 1.0})
	a.waitStatus("unused", map[string]any{"upstream.success_rate": nil})
	broken, err := a.console.get("/status/broken")
	if err != nil {
		t.Fatal(err)
	}
	for where, all := range map[string]any{"the status": a.status().at("transitions"), "the cluster": broken.at("transitions")} {
		list, _ := all.([]any)
		if len(list) != 1 {
			t.Fatalf("transitions of %s: got %v, want one", where, all)
		}
		got := list[0].(map[string]any)
		if err := during(before, after)(got["at"]); err != nil || got["cluster"] != "broken" || got["from"] != "closed" || got["to"] != "open" ||
			got["cause"] != "consecutive_failures, status 500" {
			t.Errorf("transitions of %s: got %v (%v), want broken from closed to open by consecutive_failures, status 500", where, got, err)
		}
	}
	retry := func() float64 { return a.status().at("clusters.broken.circuit_breaker.retry_after").(float64) }
	first := retry()
	eventually(t, func() error {
		if now := retry(); now >= first {
			return fmt.Errorf("retry_after: got %v and then %v, want less and less", first, now)
		}
		return nil
	})
	a.WaitMetric(`weir_breaker_state{cluster="broken"}`, engine.Exactly(2))
}

func (a *administered) testSources() {
	t := a.testing()
	if got := a.send(http.MethodGet, "cached", "/prices"); got.status != 200 {
		t.Fatalf("to fill the cache: got %+v, want status 200", got)
	}
	a.up["cached"].Set(upstream.Status(500))
	eventually(t, func() error {
		if got := a.send(http.MethodGet, "cached", "/prices"); got.source() != "cache" {
			return fmt.Errorf("got %+v, want an answer from the cache", got)
		}
		return nil
	})
	a.waitStatus("cached", map[string]any{"answers.upstream": 1.0, "answers.cache": within(1, 1e6)})
	for _, tc := range []struct{ path, source string }{
		{"/cache/invalidate?cluster=cached&path=%2Fother", "cache"},
		{"/cache/invalidate?cluster=cached&path=%2Fprices", "degraded"},
	} {
		a.post(tc.path)
		if got := a.send(http.MethodGet, "cached", "/prices"); got.source() != tc.source {
			t.Errorf("after %s: got %+v, want another source", tc.path, got)
		}
	}
	a.waitStatus("cached", map[string]any{"answers.degraded": 1.0, "fallback.degraded": 1.0})
	a.up["cached"].Set(upstream.OK())
	eventually(t, func() error { // once a second at most is stored
		a.up["cached"].Set(upstream.OK())
		a.send(http.MethodGet, "cached", "/prices")
		a.up["cached"].Set(upstream.Status(500))
		if got := a.send(http.MethodGet, "cached", "/prices"); got.source() != "cache" {
			return fmt.Errorf("got %+v, want an answer from the cache again", got)
		}
		return nil
	})
	a.post("/cache/invalidate?cluster=cached")
	if got := a.send(http.MethodGet, "cached", "/prices"); got.source() != "degraded" {
		t.Errorf("after an invalidation: got %+v, want source degraded", got)
	}
}

func (a *administered) testBulkhead() {
	t := a.testing()
	a.up["bulk"].Set(upstream.Delay(3 * time.Second))
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() { a.send(http.MethodGet, "bulk", "/") })
	}
	a.waitStatus("bulk", map[string]any{"bulkhead.in_flight": 2.0, "bulkhead.max_concurrent": 2.0, "bulkhead.rejected_total": 0.0})
	if got := a.send(http.MethodGet, "bulk", "/"); got.status != 503 {
		t.Errorf("third request at a bulkhead of two: got %+v, want status 503", got)
	}
	a.WaitMetric(`weir_in_flight{cluster="bulk"}`, engine.Exactly(2))
	running.Wait()
	a.waitStatus("bulk", map[string]any{"bulkhead.in_flight": 0.0, "bulkhead.rejected_total": 1.0, "requests.bulkhead_full": 1.0, "requests.allowed": 2.0})
	a.WaitMetric(`weir_in_flight{cluster="bulk"}`, engine.Exactly(0))
}

func (a *administered) testRetries() {
	t := a.testing()
	a.waitStatus("retrying", map[string]any{"retry.budget_remaining": 10.0})
	a.up["retrying"].Set(upstream.Status(500))
	a.times(1, "retrying")
	a.waitStatus("retrying", map[string]any{"retry.attempts_total": 2.0, "retry.exhausted_total": 1.0, "retry.budget_remaining": 8.0})

	a.up["home"].Set(upstream.Status(500))
	a.times(1, "home")
	if got := a.times(3, "home"); got[200] != 3 {
		t.Fatalf("failover: got statuses %v, want 3 x 200", got)
	}
	a.waitStatus("home", map[string]any{"failover.to": []any{"away"}, "failover.to_total": 3.0, "circuit_breaker.state": "open"})
	a.waitStatus("away", map[string]any{"mode": "enforce", "answers.upstream": 3.0})
}

func (a *administered) testNoHealthyHost() {
	t := a.testing()
	a.times(1, "gone")
	a.waitStatus("gone", map[string]any{"upstream.no_healthy_host": false})
	a.up["gone"].Refuse()
	eventually(t, func() error { // the health check takes the only host out
		got := a.send(http.MethodGet, "gone", "/")
		s, err := a.console.get("/status/gone")
		if err != nil {
			return err
		}
		if none := strings.Contains(got.body, "no healthy upstream"); s.at("upstream.no_healthy_host") != none || !none {
			return fmt.Errorf("got status %v after the response %q, want no_healthy_host as Envoy's response says", s.at("upstream"), got.body)
		}
		return nil
	})
	a.WaitMetric(`weir_no_healthy_host{cluster="gone"}`, engine.Exactly(1))
	a.up["gone"].Accept()
	eventually(t, func() error {
		a.send(http.MethodGet, "gone", "/")
		if s, err := a.console.get("/status/gone"); err != nil || s.at("upstream.no_healthy_host") != false {
			return fmt.Errorf("got %v %w, want no_healthy_host false", s, err)
		}
		return nil
	})
}

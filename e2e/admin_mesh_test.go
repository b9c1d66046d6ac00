package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// TestAdminOfAMesh: the status shows what Redis replied, and a reset reaches Redis, once.
func TestAdminOfAMesh(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	u := upstream.New(t)
	o := options(t, fmt.Sprintf(`
redis: {dialect: %s, token: %q, timeout: 1s}
clusters:
  shared: {rate_limit: {scope: mesh, requests: 20, window_size: 600s, lease: {max_tokens: 1}}}
  keyed:  {rate_limit: {scope: mesh, requests: 3, window_size: 600s, lease: {max_tokens: 1}, key: [{header: x-tenant}]}}
`, m.bridges[0].Dialect(), meshToken), map[string]*upstream.Upstream{"shared": u, "keyed": u})
	o.Redis = &render.Upstream{Name: "redis_http", Host: "127.0.0.1", Port: uint32(m.bridges[0].Port)}
	withAdmin(&o)
	w := startWith(t, o)
	c := w.console()
	ask := func(cluster string) int { return w.send(http.MethodGet, cluster, "/", "x-tenant", "a").status }
	for round := range 2 {
		for cluster, limit := range map[string]int{"shared": 20, "keyed": 3} {
			admitted, refused := 0, 0
			count := func() {
				if ask(cluster) == 200 {
					admitted++
				} else {
					refused++
				}
			}
			eventually(t, func() error { // after a reset a worker may refuse for as long as until its next beat
				if count(); admitted < limit {
					return fmt.Errorf("round %d, %s: got %d admitted and %d refused, want the whole limit admitted", round, cluster, admitted, refused)
				}
				return nil
			})
			for range 5 {
				count()
			}
			if admitted != limit {
				t.Errorf("round %d, %s: got %d admitted, want %d, the limit", round, cluster, admitted, limit)
			}
			c.waitStatus(cluster, map[string]any{"rate_limit.scope": "mesh", "rate_limit.limited_total": float64(refused), "requests.allowed": float64(admitted)})
		}
		c.waitStatus("shared", map[string]any{"rate_limit.remaining": 0.0, "rate_limit.requests_per_minute": 2.0})
		c.waitStatus("keyed", map[string]any{"rate_limit.remaining": nil, "rate_limit.keyed": true})
		if s := c.status(); s.at("redis.state") != "ok" || s.at("redis.errors_total") != 0.0 || s.at("redis.calls_total").(float64) < 20 {
			t.Errorf("redis: got %v, want state ok, no errors and 20 calls or more", s.at("redis"))
		}
		if round == 1 {
			break
		}
		for _, cluster := range []string{"shared", "keyed"} {
			c.post("/reset/" + cluster)
			w.WaitLog("weir: " + cluster + ": reset, in Redis too")
		}
		c.waitStatus("shared", map[string]any{"rate_limit.remaining": 20.0, "rate_limit.limited_total": 0.0, "requests.allowed": 0.0})
	}
	for _, cluster := range []string{"shared", "keyed"} {
		if n := strings.Count(w.Logs(), "weir: "+cluster+": reset, in Redis too"); n != 1 {
			t.Errorf("%s: one reset was sent on to Redis %d times, want once", cluster, n)
		}
	}
	m.bridges[0].Kill()
	eventually(t, func() error {
		ask("keyed")
		if got := c.status().at("redis.state"); got != "trouble" {
			return fmt.Errorf("without Redis: got state %v, want trouble", got)
		}
		return nil
	})
	c.waitStatus("shared", map[string]any{
		"rate_limit.without_redis.on_error": "local", "rate_limit.without_redis.proxies": 1.0, "rate_limit.without_redis.requests_per_minute": 2.0,
	})
}

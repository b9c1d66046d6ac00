package e2e

import (
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/check"
	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/port"
)

// TestMeshThatNeverReachedRedis: with on_error local a proxy that starts without Redis admits the limit divided by
// redis.expected_proxies, over both workers.
func TestMeshThatNeverReachedRedis(t *testing.T) {
	t.Parallel()
	const limit, expected, window = 40, 4, time.Second
	w := joinThrough(t, "upstash", port.Reserve(t), // nothing listens there
		"clusters:\n  aws: {rate_limit: {requests: 40, window_size: 1s, scope: mesh}}\n",
		"on_error: local, expected_proxies: 4", map[string]*upstream.Upstream{"aws": upstream.New(t)})
	all := traffic{proxies: []*weir{w}, cluster: "aws", rate: 100, last: 4 * time.Second}.run()
	answered(t, all)
	admitted := with(all, 200)
	if most := check.MostWithin(spansOf(admitted), window); most > limit/expected {
		t.Errorf("got %d within %v, want at most the limit of %d divided by %d proxies", most, window, limit, expected)
	}
	if least := limit / expected * 3; len(admitted) < least {
		t.Errorf("got %d admitted in 4 s, want %d or more", len(admitted), least)
	}
	if calls := w.redisCalls(); calls["ok"] != 0 || calls["unavailable"] == 0 {
		t.Errorf("got calls %v, want only unavailable ones", calls)
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/redis"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest"
)

// TestMeshOfAClusterOfRedis: two Envoys share limits that are split over the three masters of a Redis Cluster. Never a token
// too many, all of the limit is used although each master has a third of it, and each master is called.
func TestMeshOfAClusterOfRedis(t *testing.T) {
	t.Parallel()
	masters := redistest.NewCluster(t, 3)
	bridge := redis.NewClusterBridge(t, masters[0])
	m := &mesh{t: t, bridges: []*redis.Bridge{bridge}}
	window, bucket := upstream.New(t), upstream.New(t)
	for range 2 {
		m.join(`
clusters:
  split_window: {rate_limit: {requests: 50, window_size: 10s, scope: mesh, shards: 3}}
  split_bucket: {rate_limit: {algorithm: token_bucket, burst_capacity: 30, refill_rate: 0.1, scope: mesh, shards: 3}}
`, "timeout: 400ms, on_error: deny", map[string]*upstream.Upstream{"split_window": window, "split_bucket": bucket})
	}
	for _, tc := range []struct {
		cluster string
		limit   int
		u       *upstream.Upstream
	}{{"split_window", 50, window}, {"split_bucket", 30, bucket}} {
		all := traffic{proxies: m.proxies[:1], cluster: tc.cluster, rate: 60, last: time.Second, name: tc.cluster + "-one"}.run()
		all = append(all, traffic{proxies: m.proxies, cluster: tc.cluster, rate: 100, last: 2 * time.Second, name: tc.cluster + "-two"}.run()...)
		answered(t, all)
		admitted := statuses(all)[200]
		t.Logf("%s: %d asked, %d admitted", tc.cluster, len(all), admitted)
		if admitted > tc.limit || len(tc.u.Requests()) > tc.limit {
			t.Errorf("%s: got %d admitted, %d at the upstream, want at most %d", tc.cluster, admitted, len(tc.u.Requests()), tc.limit)
		}
		if admitted < tc.limit*9/10 {
			t.Errorf("%s: got %d admitted, want %d or nearly as many", tc.cluster, admitted, tc.limit)
		}
	}
	for i, master := range masters {
		keys, err := master.Client.Keys(t.Context(), "weir:{split_*").Result()
		if err != nil || !strings.Contains(strings.Join(keys, " "), "split_window") || !strings.Contains(strings.Join(keys, " "), "split_bucket") {
			t.Errorf("master %d: got keys %v, %v, want records of both limits", i, keys, err)
		}
	}
}

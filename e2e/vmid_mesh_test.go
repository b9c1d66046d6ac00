package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/redis"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// meshOptions are the options of sharedPolicies in scope mesh, each request with its own call to Redis.
func meshOptions(t *testing.T, b *redis.Bridge, policy string, upstreams map[string]*upstream.Upstream) render.Options {
	t.Helper()
	o := options(t, meshPolicy(b, policy), upstreams)
	withRedis(b)(&o)
	return o
}

func meshPolicy(b *redis.Bridge, policy string) string {
	policy = strings.ReplaceAll(policy, "rate_limit: {", "rate_limit: {scope: mesh, lease: {max_tokens: 1}, ")
	return fmt.Sprintf("redis: {dialect: %s, token: %q, timeout: 1s, on_error: deny}\n", b.Dialect(), meshToken) + policy
}

func withRedis(b *redis.Bridge) func(*render.Options) {
	return func(o *render.Options) {
		o.Redis = &render.Upstream{Name: "redis_http", Host: "127.0.0.1", Port: uint32(b.Port)}
	}
}

// sharedInTurn checks what two plugins admitted of 60 requests each, that were asked in turn. In Redis a bucket is
// smaller by what is refilled in a lease's lifetime, so that one token of five is not there at the start.
func sharedInTurn(t *testing.T, cluster string, a, b int) {
	t.Helper()
	mostA, mostB, _ := limitOf(cluster)
	shared := min(mostB, 60+mostA/2)
	if a > mostA || a+b > shared || a < mostA/2-1 || a+b < shared-1 {
		t.Errorf("%s: got %d and %d of 60 each admitted, want at most %d of the shared count, and %d in all", cluster, a, b, mostA, shared)
	}
}

// TestMeshTwoListenersShareACount: two listeners of one vm_id hold different numbers for a cluster in scope mesh. Asked
// in turn, each admits at most its own number of the count in Redis.
func TestMeshTwoListenersShareACount(t *testing.T) {
	t.Parallel()
	_, bridge := redis.Start(t, redis.Kinds(t)[0])
	first, second, upstreams := sharedPolicies("")
	clusters := clustersOf(t, upstreams)
	w := startWith(t, meshOptions(t, bridge, first, upstreams), withListener(t, "second", meshOptions(t, bridge, second, upstreams)))
	for _, cluster := range clusters {
		got := count(t, 60, w.at("second", cluster), w.at("traffic", cluster))
		sharedInTurn(t, cluster, got[1], got[0])
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestMeshRolloutSharesACount: two proxies have different versions of a policy. Asked in turn, each admits at most its
// own number of the count in Redis.
func TestMeshRolloutSharesACount(t *testing.T) {
	t.Parallel()
	kinds := redis.Kinds(t)
	_, bridge := redis.Start(t, kinds[len(kinds)-1])
	first, second, upstreams := sharedPolicies("")
	clusters := clustersOf(t, upstreams)
	old := startWith(t, meshOptions(t, bridge, first, upstreams))
	updated := startWith(t, meshOptions(t, bridge, second, upstreams))
	for _, cluster := range clusters {
		got := count(t, 60, updated.at("traffic", cluster), old.at("traffic", cluster))
		sharedInTurn(t, cluster, got[1], got[0])
	}
	for _, w := range []*weir{old, updated} {
		w.WaitMetric("weir_faults_total", engine.Exactly(0))
	}
}

// TestMeshReloadSharesACount: the old policy's limit is used up in Redis; then the policy is replaced in the watched
// file. The new one admits what is left of its own number.
func TestMeshReloadSharesACount(t *testing.T) {
	t.Parallel()
	_, bridge := redis.Start(t, redis.Kinds(t)[0])
	first, second, upstreams := sharedPolicies("")
	clusters := clustersOf(t, upstreams)
	w := startWatched(t, meshPolicy(bridge, first), upstreams, withRedis(bridge))
	for _, cluster := range clusters {
		mostA, _, _ := limitOf(cluster)
		if got := count(t, 10, w.at("traffic", cluster)); got[0] > mostA || got[0] < mostA-1 {
			t.Errorf("%s before the reload: got %d of 10 admitted, want %d", cluster, got[0], mostA)
		}
	}
	w.replace(meshPolicy(bridge, second), "config_reload")
	for _, cluster := range clusters {
		mostA, mostB, least := limitOf(cluster)
		most := mostB - mostA + 1
		if got := count(t, 58, w.at("traffic", cluster)); got[0] < min(least, 58)-1 || got[0] > most {
			t.Errorf("%s: got %d of 58 admitted after the reload, want %d to %d", cluster, got[0], least, most)
		}
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

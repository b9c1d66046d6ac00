package e2e

import (
	"testing"

	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// TestMeshByIstioNames: the bridge takes calls that come by a cluster with Istio's name, whose | no Host header may have.
func TestMeshByIstioNames(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	const redisCluster = "outbound|7379||bridge.shop.svc.cluster.local"
	for _, b := range m.bridges {
		t.Run(b.Dialect(), func(t *testing.T) {
			aws := "outbound|80||aws." + b.Dialect() + ".svc.cluster.local" // a limit of its own
			o := options(t, "clusters: {'"+aws+"': {rate_limit: {requests: 5, window_size: 600s, scope: mesh}}}\n"+
				"redis: {cluster: '"+redisCluster+"', dialect: "+b.Dialect()+", token: "+meshToken+", on_error: deny}", map[string]*upstream.Upstream{aws: upstream.New(t)})
			o.Upstreams[0].Name = aws
			o.Redis = &render.Upstream{Name: redisCluster, Host: "127.0.0.1", Port: uint32(b.Port)}
			w := startWith(t, o)
			statuses := map[int]int{}
			for range 8 {
				statuses[w.get("any", "/").status]++
			}
			if statuses[200] != 5 || statuses[429] != 3 {
				t.Errorf("got %v, want 5 of 200 and 3 of 429; calls to Redis: %v", statuses, w.redisCalls())
			}
		})
	}
}

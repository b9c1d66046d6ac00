package benchmesh

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	ratelimitconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/ratelimit/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ratelimit/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weir-mesh/weir/e2e/bench"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/port"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/process"
)

// ratelimitCluster is the Envoy cluster of the peer's service.
const ratelimitCluster = "ratelimit"

// newRateLimit starts envoyproxy/ratelimit with the limit `limit` a second for all requests together, and returns it
// and the port of its gRPC. What is not said has its own defaults; it writes no statistics. cacheBytes is the size of
// its local cache, in which it keeps the keys that are over the limit; 0: none, so that it calls Redis each time.
// https://github.com/envoyproxy/ratelimit#configuration
func newRateLimit(t testing.TB, server *redistest.Server, limit, cacheBytes int, prefix string) (*process.Program, uint32) {
	t.Helper()
	binary := os.Getenv("RATELIMIT_BIN")
	if binary == "" {
		t.Fatal("RATELIMIT_BIN is empty: `make bench-mesh` builds envoyproxy/ratelimit and sets it")
	}
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "config"), 0o700); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`
domain: bench
descriptors:
- {key: generic_key, value: all, rate_limit: {unit: second, requests_per_unit: %d}}
`, limit)
	if err := os.WriteFile(filepath.Join(root, "config", "bench.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	grpc := port.Reserve(t)
	service := &process.Program{Path: binary, Address: fmt.Sprintf("127.0.0.1:%d", grpc), Env: []string{
		"HOST=127.0.0.1", fmt.Sprintf("PORT=%d", port.Reserve(t)),
		"DEBUG_HOST=127.0.0.1", fmt.Sprintf("DEBUG_PORT=%d", port.Reserve(t)),
		"GRPC_HOST=127.0.0.1", fmt.Sprintf("GRPC_PORT=%d", grpc),
		"REDIS_SOCKET_TYPE=tcp", fmt.Sprintf("REDIS_URL=127.0.0.1:%d", server.Port),
		"RUNTIME_ROOT=" + root, "RUNTIME_SUBDIRECTORY=", "RUNTIME_WATCH_ROOT=false",
		"USE_STATSD=false", "DISABLE_STATS=true", "LOG_LEVEL=error",
		fmt.Sprintf("LOCAL_CACHE_SIZE_IN_BYTES=%d", cacheBytes), "CACHE_KEY_PREFIX=" + prefix,
	}}
	service.Start(t)
	return service, uint32(grpc)
}

// useRateLimit puts Envoy's ratelimit filter in the place of Weir, and an action on the route that makes it ask.
// https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/rate_limit_filter
func useRateLimit(t testing.TB, manager *hcmv3.HttpConnectionManager) {
	t.Helper()
	bench.SetFilters(manager, bench.HTTPFilter(t, "envoy.filters.http.ratelimit", &ratelimitv3.RateLimit{
		Domain: "bench",
		// Its default is 20 ms, and then the request passes without a reply, which would look cheap.
		Timeout: durationpb.New(time.Second),
		RateLimitService: &ratelimitconfigv3.RateLimitServiceConfig{
			TransportApiVersion: corev3.ApiVersion_V3,
			GrpcService: &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: ratelimitCluster},
			}},
		},
	}))
	manager.GetRouteConfig().GetVirtualHosts()[0].GetRoutes()[0].GetRoute().RateLimits = []*routev3.RateLimit{{
		Actions: []*routev3.RateLimit_Action{{ActionSpecifier: &routev3.RateLimit_Action_GenericKey_{
			GenericKey: &routev3.RateLimit_Action_GenericKey{DescriptorValue: "all"},
		}}},
	}}
}

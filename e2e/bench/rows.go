package bench

import (
	"net/http"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	localratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-mesh/weir/e2e/engine"
)

// row is one Envoy of the table.
type row struct {
	name string
	// filter is the filter before the router; nil: none. weir is the filter that the renderer has put there.
	filter func(t testing.TB, weir *hcmv3.HttpFilter) *hcmv3.HttpFilter
	// policy is Weir's, as JSON; empty where its filter is not used.
	policy string
	// path of the requests; "": "/".
	path string
	// before is done once, before the first request that counts; nil: nothing is.
	before func(t testing.TB, url string)
	// verify looks at the Envoy and at one response and fails the test if this is not what the row says; nil: nothing
	// to check.
	verify func(t testing.TB, e *engine.Envoy, answer *http.Response)
	// saw is how many requests the filter saw so far, by its own account; nil: it keeps none.
	saw func(e *engine.Envoy) float64
}

// The rows that the others are compared with.
const (
	noFilter    = "no filter"
	emptyFilter = "empty Go filter"
)

// Cluster is the upstream's name in each Envoy, and in Weir's policies.
const Cluster = "aws_pricing"

// rows is the table, from top to bottom.
func rows() []row {
	return []row{
		{name: noFilter, filter: none},
		{name: "local_ratelimit", filter: localRateLimit, saw: func(e *engine.Envoy) float64 {
			return e.WaitStat("weir_bench.http_local_rate_limit.ok", engine.AtLeast(1))
		}},
		{name: emptyFilter, filter: empty, verify: isEmptyFilter},
		{name: "Weir: token bucket, breaker, default data", filter: weir, policy: quickstart, verify: isWeir, saw: allowed},
		{name: "Weir: sliding window, breaker", filter: weir, policy: rules(`"rate_limit": {"requests": 1000000, "window_size": "1s"}, "circuit_breaker": {}`), verify: isWeir, saw: allowed},
		{name: "Weir: adaptive", filter: weir, policy: rules(`"rate_limit": {"algorithm": "adaptive", "requests": 1000000, "window_size": "1s"}`), verify: isWeir, saw: allowed},
		{name: "Weir: token bucket by header", filter: weir, policy: rules(`"rate_limit": {"algorithm": "token_bucket", "burst_capacity": 1000000, "refill_rate": 1000000, "key": [{"header": "user-agent"}]}`), verify: isWeir, saw: allowed},
		{name: "Weir: bulkhead", filter: weir, policy: rules(`"bulkhead": {"max_concurrent": 1000}`), verify: isWeir, saw: allowed},
		{name: "Weir: window, breaker by rates, bulkhead", filter: weir, policy: rules(`"rate_limit": {"requests": 1000000, "window_size": "1s"},
			"circuit_breaker": {"failure_rate": {}, "slow_calls": {}}, "bulkhead": {"max_concurrent": 1000}`), verify: isWeir, saw: allowed},
		{name: "Weir: breaker", filter: weir, policy: rules(`"circuit_breaker": {}`), verify: isWeir, saw: allowed},
		{name: "Weir: breaker, retry by the router", filter: weir, policy: rules(`"circuit_breaker": {}, "retry": {"driver": "envoy"}`), verify: isWeir, saw: allowed},
		{name: "Weir: breaker, retry by the filter", filter: weir, policy: rules(`"circuit_breaker": {}, "retry": {"driver": "filter"}`), verify: isWeir, saw: allowed},
	}
}

// rules is a policy of one cluster.
func rules(sections string) string {
	return `{"clusters": {"` + Cluster + `": {` + sections + `}}}`
}

// quickstart has what the demo's policy has, with a limit that refuses no request.
var quickstart = rules(`
	"rate_limit": {"algorithm": "token_bucket", "burst_capacity": 1000000, "refill_rate": 1000000},
	"circuit_breaker": {},
	"fallback": {"enable_cache_fallback": false, "default_data": {"body": {"services": [], "degraded": true}}}`)

func none(testing.TB, *hcmv3.HttpFilter) *hcmv3.HttpFilter { return nil }

func weir(_ testing.TB, weir *hcmv3.HttpFilter) *hcmv3.HttpFilter { return weir }

// empty is Weir's own configuration with another module and nothing to read.
func empty(t testing.TB, weir *hcmv3.HttpFilter) *hcmv3.HttpFilter {
	var filter httpwasmv3.Wasm
	if err := weir.GetTypedConfig().UnmarshalTo(&filter); err != nil {
		t.Fatal(err)
	}
	filter.GetConfig().Configuration = nil
	filter.GetConfig().GetVmConfig().GetCode().GetLocal().Specifier = &corev3.DataSource_Filename{Filename: "build/empty.wasm"}
	return HTTPFilter(t, "empty", &filter)
}

// localRateLimit is Envoy's own token bucket, with the limit of Weir's row.
// https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/local_rate_limit_filter
func localRateLimit(t testing.TB, _ *hcmv3.HttpFilter) *hcmv3.HttpFilter {
	always := &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{Numerator: 100}}
	return HTTPFilter(t, "envoy.filters.http.local_ratelimit", &localratelimitv3.LocalRateLimit{
		StatPrefix:     "weir_bench",
		TokenBucket:    &typev3.TokenBucket{MaxTokens: 1_000_000, TokensPerFill: wrapperspb.UInt32(1_000_000), FillInterval: durationpb.New(time.Second)},
		FilterEnabled:  always,
		FilterEnforced: always,
	})
}

// HTTPFilter is a filter with its configuration.
func HTTPFilter(t testing.TB, name string, config proto.Message) *hcmv3.HttpFilter {
	typed, err := anypb.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: typed}}
}

// isEmptyFilter makes sure that there are Wasm VMs at all, one for each worker and one that configured them.
func isEmptyFilter(_ testing.TB, e *engine.Envoy, _ *http.Response) {
	e.WaitStat("wasm.envoy.wasm.runtime.v8.active", engine.AtLeast(2))
}

func isWeir(t testing.TB, _ *engine.Envoy, answer *http.Response) {
	t.Helper()
	if got := answer.Header.Get("x-weir-source"); got != "upstream" {
		t.Fatalf("x-weir-source: got %q, want upstream", got)
	}
}

// allowed counts by Weir's own metric.
func allowed(e *engine.Envoy) float64 {
	return e.WaitMetric(`weir_requests_total{cluster="`+Cluster+`",decision="allowed"}`, engine.AtLeast(1))
}

package render

import (
	"math"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/weir-mesh/weir/policy"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// byRouter says that Envoy's router is the one that sends a request again.
func byRouter(r *policy.Retry) bool { return r != nil && r.Driver == policy.DriverEnvoy }

// backOff is the waits between the router's retries, and nothing else: no retry_on, so that the router retries only the
// requests for which the filter says so, by x-envoy-retry-on and x-envoy-max-retries.
//
// The router waits for any time from 0 up to base_interval x 2^n, at most max_interval (n from 0, whole milliseconds, the upper
// end excluded), which is the policy's own full jitter. After a Retry-After of r seconds it waits from r to 1.5 r, where r is
// at most max_interval; a longer one is passed over.
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto#config-route-v3-retrypolicy-retrybackoff
func backOff(r *policy.Retry) *routev3.RetryPolicy {
	return &routev3.RetryPolicy{
		RetryBackOff: &routev3.RetryPolicy_RetryBackOff{
			BaseInterval: durationpb.New(r.BaseDelay),
			MaxInterval:  durationpb.New(r.MaxDelay),
		},
		RateLimitedRetryBackOff: &routev3.RetryPolicy_RateLimitedRetryBackOff{
			ResetHeaders: []*routev3.RetryPolicy_ResetHeader{{
				Name: "retry-after", Format: routev3.RetryPolicy_SECONDS,
			}},
			MaxInterval: durationpb.New(r.MaxDelay),
		},
	}
}

// retriesAtOnce takes away Envoy's own bound on the retries of a cluster, 3 at a time, those that still wait included: the
// bound is the policy's budget. Of 100 requests that failed at once under a base_delay of 1s, Envoy's let 3 be retried,
// and said so nowhere but in upstream_rq_retry_overflow. All other thresholds stay Envoy's. It stands in each cluster, since a
// policy may ask for retries later, by a reload, and none that does not ask gets any.
func retriesAtOnce() *clusterv3.CircuitBreakers {
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxRetries: wrapperspb.UInt32(math.MaxUint32),
	}}}
}

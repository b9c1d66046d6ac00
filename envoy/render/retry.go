package render

import (
	"math"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/weir-mesh/weir/policy"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// RouterRetries says that Envoy's router does the retries.
func RouterRetries(r *policy.Retry) bool { return r != nil && r.Driver == policy.DriverEnvoy }

// BackOff has only the delays between the router's retries. It has no retry_on: the router retries only the requests
// for which the filter sets x-envoy-retry-on and x-envoy-max-retries.
//
// The router's delay is uniform between 0 and base_interval x 2^n, at most max_interval (n from 0, whole milliseconds,
// the upper end excluded), which is the policy's full jitter. After a Retry-After of r seconds the delay is between r
// and 1.5 r; an r above max_interval is ignored.
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto#config-route-v3-retrypolicy-retrybackoff
func BackOff(r *policy.Retry) *routev3.RetryPolicy {
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

// unlimitedRetries removes Envoy's default bound of 3 concurrent retries in a cluster, including those that still wait
// for their delay: the bound is the policy's budget. Of 100 requests that failed together with a base_delay of 1s,
// Envoy's bound allowed 3 retries, and only upstream_rq_retry_overflow showed it. All other thresholds keep Envoy's
// defaults. Every cluster has it, since a reloaded policy may add retries later; without a retry policy it has no
// effect.
func unlimitedRetries() *clusterv3.CircuitBreakers {
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxRetries: wrapperspb.UInt32(math.MaxUint32),
	}}}
}
